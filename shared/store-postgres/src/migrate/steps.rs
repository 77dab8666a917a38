//! The steps of a migration.
//!
//! A line `-- step: KIND` begins a step; what comes before the first such line is a comment, or the whole migration.

/// How a step is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `transaction`: its statements together, in one transaction with the note that it is done. A lock that is not free is
    /// given up soon and asked for again.
    Transaction,
    /// `concurrent [INDEX]`: one statement outside of a transaction, which makes this index or drops one.
    Concurrent(Option<&'a str>),
    /// `batches`: one statement, again and again in transactions of its own until it changes no row.
    Batches,
}

/// A step of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// How it is carried out.
    pub kind: Kind<'a>,
    /// What is carried out.
    pub sql: &'a str,
}

const MARK: &str = "-- step: ";

/// The steps of the text of a migration, in their order.
pub fn steps(text: &str) -> Vec<Step<'_>> {
    let mut marks = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(kind) = line.strip_prefix(MARK) {
            marks.push((kind.trim(), at, at + line.len()));
        }
        at += line.len();
    }
    if marks.is_empty() {
        return vec![Step { kind: Kind::Transaction, sql: text }];
    }
    let ends = marks.iter().skip(1).map(|(_, begin, _)| *begin).chain([text.len()]);
    marks
        .iter()
        .zip(ends)
        .map(|(&(name, _, begin), end)| Step { kind: kind(name), sql: &text[begin..end] })
        .collect()
}

fn kind(name: &str) -> Kind<'_> {
    let mut words = name.split_whitespace();
    match words.next() {
        Some("concurrent") => Kind::Concurrent(words.next()),
        Some("batches") => Kind::Batches,
        _ => Kind::Transaction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_marks_is_one_transaction() {
        let text = "-- about\ncreate table x ();\n";
        assert_eq!(steps(text), [Step { kind: Kind::Transaction, sql: text }]);
    }

    #[test]
    fn marks_divide_a_text_into_steps() {
        let text = "-- about\n\n-- step: transaction\na;\nb;\n-- step: concurrent x\nc;\n-- step: concurrent\nd;\n-- step: batches\ne;";
        let found: Vec<_> = steps(text).iter().map(|s| (s.kind, s.sql.trim())).collect();
        assert_eq!(
            found,
            [
                (Kind::Transaction, "a;\nb;"),
                (Kind::Concurrent(Some("x")), "c;"),
                (Kind::Concurrent(None), "d;"),
                (Kind::Batches, "e;"),
            ]
        );
    }
}
