//! Comparison with an earlier report.
//!
//! Values are matched by stack, part, title and name. Values that only one report has are left out.

use super::number::number;
use crate::figure::{Better, Figure, FigureValue};
use serde::Deserialize;
use std::{collections::HashMap, fmt::Write as _, fs, path::Path};

/// Relative change that counts as noise on a machine with other work.
const NOISE_RATIO: f64 = 0.10;

/// An earlier report.
#[derive(Debug)]
pub struct Baseline {
    values: HashMap<Key, f64>,
}

/// Stack, part, title and name of a value.
type Key = [String; 4];

#[derive(Deserialize)]
struct BaselineFile {
    figures: Vec<OldFigure>,
}

#[derive(Deserialize)]
struct OldFigure {
    stack: String,
    part: String,
    what: String,
    values: Vec<OldValue>,
}

#[derive(Deserialize)]
struct OldValue {
    name: String,
    value: Option<f64>,
}

/// The change of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Better,
    Worse,
    Same,
}

impl Baseline {
    /// Reads a file written by `--json`.
    pub fn read(path: &Path) -> Result<Self, String> {
        let say = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| say(&error))?;
        Self::parse(&text).map_err(|error| say(&error))
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let file: BaselineFile = serde_json::from_str(text)?;
        let mut values = HashMap::new();
        for figure in file.figures {
            for value in figure.values {
                let key =
                    [&figure.stack, &figure.part, &figure.what, &value.name].map(Clone::clone);
                values.extend(value.value.map(|number| (key, number)));
            }
        }
        Ok(Self { values })
    }

    /// Prints new value, old value and ratio, and marks changes of more than [`NOISE_RATIO`].
    pub fn print(&self, figures: &[Figure]) {
        print!("{}", self.render(figures));
    }

    fn render(&self, figures: &[Figure]) -> String {
        let mut out = String::from("\ncompared with the baseline: new / old = ratio\n");
        for figure in figures {
            let lines: String =
                figure.values.iter().filter_map(|one| self.line(figure, one)).collect();
            if !lines.is_empty() {
                let _ = write!(out, "{}, {}: {}\n{lines}", figure.part, figure.stack, figure.what);
            }
        }
        out
    }

    fn line(&self, figure: &Figure, value: &FigureValue) -> Option<String> {
        let key = [figure.stack, figure.part, &figure.what, value.name].map(str::to_owned);
        let old = *self.values.get(&key)?;
        let mark = match change(value, old) {
            Change::Better => "  better",
            Change::Worse => "  WORSE",
            Change::Same => "",
        };
        let ratio = if old == 0.0 { "-".to_owned() } else { format!("{:.2}", value.value / old) };
        let (new, old) = (number(value.value), number(old));
        Some(format!(
            "  {:<12} {new:>10} / {old:>10} = {ratio:>6} {}{mark}\n",
            value.name, value.unit
        ))
    }
}

fn change(value: &FigureValue, old: f64) -> Change {
    let sign = match value.better {
        Better::More => 1.0,
        Better::Less => -1.0,
        Better::Neither => return Change::Same,
    };
    let gain = (value.value - old) * sign;
    match gain {
        _ if gain > old.abs() * NOISE_RATIO => Change::Better,
        _ if gain < -old.abs() * NOISE_RATIO => Change::Worse,
        _ => Change::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Change, change};
    use crate::figure::{Figure, FigureValue};

    #[test]
    fn a_change_of_more_than_a_tenth_is_better_or_worse() {
        assert_eq!(change(&FigureValue::more("rate", 109.0, ""), 100.0), Change::Same);
        assert_eq!(change(&FigureValue::more("rate", 111.0, ""), 100.0), Change::Better);
        assert_eq!(change(&FigureValue::less("p99", 111.0, ""), 100.0), Change::Worse);
        assert_eq!(change(&FigureValue::less("p99", 89.0, ""), 100.0), Change::Better);
        assert_eq!(change(&FigureValue::plain("late", 500.0, ""), 100.0), Change::Same);
        assert_eq!(change(&FigureValue::less("errors", 1.0, ""), 0.0), Change::Worse);
    }

    #[test]
    fn values_are_matched_by_row_and_name() {
        let old = r#"{"run": {}, "figures": [{"stack": "embedded", "part": "waiting", "what": "1 connections",
            "values": [{"name": "rate", "value": 400.0, "unit": "tasks/s", "better": "more"}]}]}"#;
        let baseline = Baseline::parse(old).expect("it is a result");
        let figure = |what: &str| Figure {
            stack: "embedded",
            part: "waiting",
            what: what.to_owned(),
            values: vec![
                FigureValue::more("rate", 600.0, "tasks/s"),
                FigureValue::less("p50", 2.0, "ms"),
            ],
        };
        let text = baseline.render(&[figure("1 connections"), figure("16 connections")]);
        assert!(text.contains("600 /        400 =   1.50 tasks/s  better"), "{text}");
        assert!(!text.contains("p50") && !text.contains("16 connections"), "{text}");
    }
}
