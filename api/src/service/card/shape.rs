//! The documents that a card goes out as. Each is a view of the one card of 1.0.

use longhaul_wire::{
    Dialect,
    v0::card::{CombinedCard, LegacyCard},
    v1::card::AgentCard,
};
use serde_json::{Result, Value, to_value};

/// Which document a card goes out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// That of 1.0.
    V1_0,
    /// One that clients of 1.0 and of 0.3 both read.
    Any,
    /// That of 0.3.
    V0_3,
}

impl Shape {
    /// As a client of this dialect reads it in an answer.
    pub const fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::V1_0 => Self::V1_0,
            Dialect::V0_3Proto => Self::Any,
            Dialect::V0_3 | Dialect::V0_1 => Self::V0_3,
        }
    }

    /// The document.
    pub fn document(self, card: &AgentCard) -> Result<Value> {
        match self {
            Self::V1_0 => to_value(card),
            Self::Any => to_value(CombinedCard(card)),
            Self::V0_3 => to_value(LegacyCard(card)),
        }
    }
}
