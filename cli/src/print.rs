//! Standard output, for results.

use crate::exit::Failure;
use std::io::{self, Write};

/// Prints a line.
pub fn line(text: &str) -> Result<(), Failure> {
    write_out(&format!("{text}\n"))
}

/// Prints text as it is.
pub fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| gone(&error))
}

/// Says something beside the results, on standard error.
pub fn complaint(text: &str) {
    // Without a standard error nobody listens.
    let _ = writeln!(io::stderr(), "longhaul: {text}");
}

/// Why nothing more can be printed.
pub fn gone(error: &io::Error) -> Failure {
    Failure::failed(format!("standard output cannot be written: {error}"))
}

/// Lays rows out in columns, two spaces apart; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width.saturating_sub(cell.chars().count());
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_one_another() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(table(&[row("ID", "STATE"), row("12345", "ö")]), "ID     STATE\n12345  ö\n");
    }
}
