//! Splits a migration into steps.
//!
//! A line `-- step: KIND` begins a step. Text before the first such line is a comment, or, without
//! any, the whole migration.

/// Way in which a step is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind<'a> {
    /// `transaction`: all statements in one transaction with the note that the step is done. A lock
    /// that is not free is given up soon and retried.
    Transaction,
    /// `concurrent [INDEX]`: one statement outside of a transaction, which creates this index or
    /// drops one.
    Concurrent(Option<&'a str>),
    /// `batches`: one statement, repeated in its own transactions until it changes no row.
    Batches,
}

/// A step of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStep<'a> {
    /// Way of execution.
    pub kind: StepKind<'a>,
    /// Text of the step.
    pub sql: &'a str,
}

const STEP_MARKER: &str = "-- step: ";

/// Splits a migration's text into steps, in order.
pub fn steps(text: &str) -> Vec<MigrationStep<'_>> {
    let mut marks = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(kind) = line.strip_prefix(STEP_MARKER) {
            marks.push((kind.trim(), at, at + line.len()));
        }
        at += line.len();
    }
    if marks.is_empty() {
        return vec![MigrationStep { kind: StepKind::Transaction, sql: text }];
    }
    let ends = marks.iter().skip(1).map(|(_, begin, _)| *begin).chain([text.len()]);
    marks
        .iter()
        .zip(ends)
        .map(|(&(name, _, begin), end)| MigrationStep {
            kind: parse_kind(name),
            sql: &text[begin..end],
        })
        .collect()
}

fn parse_kind(name: &str) -> StepKind<'_> {
    let mut words = name.split_whitespace();
    match words.next() {
        Some("concurrent") => StepKind::Concurrent(words.next()),
        Some("batches") => StepKind::Batches,
        _ => StepKind::Transaction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_marks_is_one_transaction() {
        let text = "-- about\ncreate table x ();\n";
        assert_eq!(steps(text), [MigrationStep { kind: StepKind::Transaction, sql: text }]);
    }

    #[test]
    fn marks_split_a_text_into_steps() {
        let text = "-- about\n\n-- step: transaction\na;\nb;\n-- step: concurrent x\nc;\n-- step: concurrent\nd;\n-- step: batches\ne;";
        let found: Vec<_> = steps(text).iter().map(|s| (s.kind, s.sql.trim())).collect();
        assert_eq!(
            found,
            [
                (StepKind::Transaction, "a;\nb;"),
                (StepKind::Concurrent(Some("x")), "c;"),
                (StepKind::Concurrent(None), "d;"),
                (StepKind::Batches, "e;"),
            ]
        );
    }
}
