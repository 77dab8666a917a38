//! Figures: rows of named values.
//!
//! A baseline finds a figure by stack, part and title, and a value by name. So titles and names
//! stay unchanged once they are published.

/// One row of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// `embedded`, `distributed`, or `floor` for the machine itself.
    pub stack: &'static str,
    /// The part that measured it.
    pub part: &'static str,
    /// The title: what was measured, with which settings.
    pub what: String,
    /// The values, in column order.
    pub values: Vec<FigureValue>,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureValue {
    /// The column.
    pub name: &'static str,
    /// The number, in the unit of the column.
    pub value: f64,
    /// The unit, as in `tasks/s`, `ms` or `B`.
    pub unit: &'static str,
    /// The direction of an improvement.
    pub better: Better,
}

/// The direction of an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    More,
    /// Less is better.
    Less,
    /// Neither: the value is informative.
    Neither,
}

impl FigureValue {
    /// A value of which more is better.
    pub const fn more(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, better: Better::More }
    }

    /// A value of which less is better.
    pub const fn less(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, better: Better::Less }
    }

    /// An informative value.
    pub const fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, better: Better::Neither }
    }
}
