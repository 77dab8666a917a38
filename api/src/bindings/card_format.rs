//! Formats of cards: each is a view of the one card of 1.0.

use crate::service::{CardAddress, Service};
use longhaul_wire::{
    Dialect, ProtocolError,
    card::AgentCard,
    v0::card::{CombinedCard, LegacyCard},
};
use serde_json::{Result, Value, to_value};

/// Format of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CardFormat {
    /// The card of 1.0.
    V1_0,
    /// A card that clients of 1.0 and of 0.3 can read.
    Any,
    /// The card of 0.3.
    V0_3,
}

impl CardFormat {
    /// The format for clients of a dialect.
    pub const fn from_dialect(dialect: Dialect) -> Self {
        match dialect {
            Dialect::V1_0 => Self::V1_0,
            Dialect::V0_3Proto => Self::Any,
            Dialect::V0_3 | Dialect::V0_1 => Self::V0_3,
        }
    }

    /// The error of this format for `error`: 1.0 has none of its own for a missing extended card
    /// (A2A 3.1.11), 0.3 has one.
    pub fn card_error(self, error: ProtocolError) -> ProtocolError {
        match (self, error) {
            (Self::V1_0, ProtocolError::ExtendedAgentCardNotConfigured) => {
                ProtocolError::UnsupportedOperation(
                    "this agent has no extended card; use the public one".to_owned(),
                )
            }
            (_, error) => error,
        }
    }

    /// Signs a card that another encoder writes in this format.
    pub fn sign(self, service: &Service, card: &mut AgentCard, address: &CardAddress) {
        if let Ok(document) = self.document(card) {
            service.sign(card, &document, address);
        }
    }

    /// The card as a JSON document.
    pub fn document(self, card: &AgentCard) -> Result<Value> {
        match self {
            Self::V1_0 => to_value(card),
            Self::Any => to_value(CombinedCard(card)),
            Self::V0_3 => to_value(LegacyCard(card)),
        }
    }
}

#[cfg(test)]
mod tests;
