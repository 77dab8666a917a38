//! What a part of the benchmark found: figures, each a row of named values.
//!
//! A figure is found again in an earlier result by its stack, part and title, and a value by its name; so titles and names stay
//! as they are once they are published.

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// `embedded`, `distributed` or, of the machine itself, `floor`.
    pub stack: &'static str,
    /// The part that measured it.
    pub part: &'static str,
    /// What was measured, with what settings.
    pub what: String,
    /// The values, in the order of their columns.
    pub values: Vec<Value>,
}

/// One value of a row.
#[expect(clippy::struct_field_names, reason = "a value has a name, a unit, and its value")]
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// The column.
    pub name: &'static str,
    /// In the unit of the column.
    pub value: f64,
    /// As it is printed: `tasks/s`, `ms`, `B`.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
}

/// Which direction is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    More,
    /// Less is better.
    Less,
    /// Neither: it is there to be known.
    Neither,
}

impl Value {
    /// A value that should be high.
    pub const fn more(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, better: Better::More }
    }

    /// A value that should be low.
    pub const fn less(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, better: Better::Less }
    }

    /// A value that is neither good nor bad.
    pub const fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, better: Better::Neither }
    }
}
