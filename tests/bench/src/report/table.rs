//! Tables of figures.

use super::number::number;
use crate::figure::Figure;

/// Prints figures in the order of measurement. Consecutive rows with the same columns share a
/// heading.
pub fn print(figures: &[Figure]) {
    print!("{}", render(figures));
}

fn render(figures: &[Figure]) -> String {
    let same = |one: &Figure, next: &Figure| {
        one.part == next.part && one.stack == next.stack && columns(one) == columns(next)
    };
    figures.chunk_by(same).map(block).collect()
}

fn columns(figure: &Figure) -> Vec<&'static str> {
    figure.values.iter().map(|value| value.name).collect()
}

/// Formats rows with the same columns.
fn block(figures: &[Figure]) -> String {
    let Some(first) = figures.first() else { return String::new() };
    let title = format!("{}, {}", first.part, first.stack);
    let mut rows = vec![
        row(title, first.values.iter().map(|value| value.name.to_owned())),
        row(String::new(), first.values.iter().map(|value| value.unit.to_owned())),
    ];
    rows.extend(figures.iter().map(|figure| {
        row(figure.what.clone(), figure.values.iter().map(|value| number(value.value)))
    }));
    format!("\n{}", lines(&rows))
}

fn row(first: String, rest: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(first).chain(rest).collect()
}

/// Aligns the first column to the left, the others to the right.
fn lines(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or_default()).collect();
    let cell = |(at, text): (usize, &String)| match (at, widths.get(at).copied().unwrap_or(0)) {
        (0, width) => format!("{text:<width$}"),
        (_, width) => format!("  {text:>width$}"),
    };
    let line = |row: &Vec<String>| {
        let cells: String = row.iter().enumerate().map(cell).collect();
        cells.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::figure::{Figure, FigureValue};

    #[test]
    fn only_rows_with_the_same_columns_share_a_heading() {
        let figure = |what: &str, values| Figure {
            stack: "embedded",
            part: "waiting",
            what: what.to_owned(),
            values,
        };
        let table = render(&[
            figure(
                "1 connections",
                vec![
                    FigureValue::more("rate", 431.2, "tasks/s"),
                    FigureValue::less("p50", 2.163, "ms"),
                ],
            ),
            figure(
                "16 connections",
                vec![
                    FigureValue::more("rate", 1969.0, "tasks/s"),
                    FigureValue::less("p50", 7.17, "ms"),
                ],
            ),
            figure("memory", vec![FigureValue::less("idle", 28.4, "MiB")]),
        ]);
        let expected = "
waiting, embedded     rate   p50
                   tasks/s    ms
1 connections          431  2.16
16 connections        1969  7.17

waiting, embedded  idle
                    MiB
memory             28.4
";
        assert_eq!(table, expected);
    }
}
