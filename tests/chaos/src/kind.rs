//! What clients ask for. A message's text is the order as JSON, so that every attempt on every worker reads the same.

use crate::random::Random;
use serde::{Deserialize, Serialize};

/// Kinds of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Answers at once; the client waits for the answer.
    Quick,
    /// Answers at once; the client does not wait, it polls.
    Polled,
    /// Takes seconds, with progress.
    Long,
    /// Streams many chunks.
    Streaming,
    /// Asks, and is answered.
    MultiTurn,
    /// Asks, and nobody answers.
    Parked,
    /// Is canceled at some moment.
    Cancelled,
    /// Fails a few times, then succeeds.
    Retried,
    /// Fails for good, at once or after the last attempt.
    Failing,
    /// Several steps, each with an effect outside.
    Checkpointed,
    /// Panics first, then succeeds.
    Panicking,
    /// Is not to be started before a time.
    Delayed,
    /// Hears further messages while it runs.
    FollowUp,
}

/// How often each kind is asked for.
const WEIGHTS: [(Kind, u64); 13] = [
    (Kind::Quick, 30),
    (Kind::Polled, 8),
    (Kind::Long, 8),
    (Kind::Streaming, 8),
    (Kind::MultiTurn, 8),
    (Kind::Parked, 2),
    (Kind::Cancelled, 8),
    (Kind::Retried, 5),
    (Kind::Failing, 4),
    (Kind::Checkpointed, 10),
    (Kind::Panicking, 3),
    (Kind::Delayed, 3),
    (Kind::FollowUp, 3),
];

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// What.
    pub kind: Kind,
    /// How much of it: chunks, steps, questions, failures, messages.
    pub count: u64,
    /// Milliseconds from one to the next, or of the whole where there is one only.
    pub pause_ms: u64,
    /// Milliseconds from the order to the earliest start; 0: none.
    pub delay_ms: u64,
}

impl Order {
    /// A random order.
    pub fn random(random: &mut Random) -> Self {
        Self::of(random.weighted(&WEIGHTS), random)
    }

    /// A random order of a kind.
    pub fn of(kind: Kind, random: &mut Random) -> Self {
        let (count, pause_ms) = match kind {
            Kind::Quick | Kind::Polled => (1, random.of(0..=20)),
            Kind::Long => (random.of(5..=20), 300),
            Kind::Streaming => (random.of(20..=120), random.of(2..=20)),
            Kind::MultiTurn => (random.of(1..=2), random.of(0..=200)),
            Kind::Parked => (1, random.of(0..=200)),
            // Longer than every disturbance together may hold the cancel up.
            Kind::Cancelled => (1, 90_000),
            Kind::Retried => (random.of(1..=3), random.of(0..=100)),
            Kind::Failing => (random.of(0..=1), random.of(0..=100)),
            Kind::Checkpointed => (random.of(3..=8), random.of(20..=600)),
            Kind::Panicking => (1, random.of(0..=300)),
            Kind::Delayed => (1, random.of(0..=100)),
            Kind::FollowUp => (random.of(1..=3), random.of(0..=300)),
        };
        let delay_ms = match kind {
            Kind::Delayed => random.of(500..=5_000),
            // Some are canceled before they may start.
            Kind::Cancelled if random.percent(20) => 60_000,
            _ => 0,
        };
        Self { kind, count, pause_ms, delay_ms }
    }

    /// The states in which such a task may be when all is over.
    pub const fn ends(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Parked => &["input-required"],
            // The cancel may come late.
            Kind::Cancelled => &["canceled", "completed"],
            Kind::Failing => &["failed"],
            _ => &["completed"],
        }
    }

    /// The text of the message.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("an order has string keys")
    }

    /// The order in a message.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Kind {
    /// The name, as in `multi-turn`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Polled => "polled",
            Self::Long => "long",
            Self::Streaming => "streaming",
            Self::MultiTurn => "multi-turn",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::Failing => "failing",
            Self::Checkpointed => "checkpointed",
            Self::Panicking => "panicking",
            Self::Delayed => "delayed",
            Self::FollowUp => "follow-up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Order, WEIGHTS};
    use crate::random::Random;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let mut random = Random::new(1);
        for (kind, _) in WEIGHTS {
            let order = Order::of(kind, &mut random);
            assert_eq!(Order::parse(&order.text()), Some(order));
            let name = serde_json::to_value(kind).expect("a name");
            assert_eq!(name, kind.name());
        }
        assert_eq!(Order::parse("answer"), None);
    }

    #[test]
    fn every_kind_is_asked_for() {
        let mut random = Random::new(1);
        let asked: std::collections::BTreeSet<Kind> =
            (0..2_000).map(|_| Order::random(&mut random).kind).collect();
        assert_eq!(asked.len(), WEIGHTS.len());
    }
}
