//! Scenarios that clients ask for.
//!
//! The text of a task's first message is its scenario as JSON, so that every attempt on every
//! worker plays the same.

use crate::random::Random;
use serde::{Deserialize, Serialize};

/// Kinds of scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioKind {
    /// Answers at once; the client waits for it.
    Quick,
    /// Answers at once; the client polls.
    Polled,
    /// Runs for seconds, with progress.
    Long,
    /// Streams many chunks.
    Streaming,
    /// Asks questions, which are answered.
    MultiTurn,
    /// Asks a question, which stays unanswered.
    Parked,
    /// Is canceled at a random time.
    Cancelled,
    /// Fails a few times, then succeeds.
    Retried,
    /// Fails, at once or after the last attempt.
    Failing,
    /// Executes several steps, each with an effect in the journal.
    Checkpointed,
    /// Panics first, then succeeds.
    Panicking,
    /// Must not start before a time.
    Delayed,
    /// Receives further messages while it runs.
    FollowUp,
}

/// Weight of each kind.
const WEIGHTS: [(ScenarioKind, u64); 13] = [
    (ScenarioKind::Quick, 30),
    (ScenarioKind::Polled, 8),
    (ScenarioKind::Long, 8),
    (ScenarioKind::Streaming, 8),
    (ScenarioKind::MultiTurn, 8),
    (ScenarioKind::Parked, 2),
    (ScenarioKind::Cancelled, 8),
    (ScenarioKind::Retried, 5),
    (ScenarioKind::Failing, 4),
    (ScenarioKind::Checkpointed, 10),
    (ScenarioKind::Panicking, 3),
    (ScenarioKind::Delayed, 3),
    (ScenarioKind::FollowUp, 3),
];

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    /// The kind.
    pub kind: ScenarioKind,
    /// Number of chunks, steps, questions, failures or messages.
    pub count: u64,
    /// Milliseconds between them, or in all when there is only one.
    pub pause_ms: u64,
    /// Milliseconds from the first message to the earliest start; 0 for none.
    pub delay_ms: u64,
}

impl Scenario {
    /// A random scenario.
    pub fn random(random: &mut Random) -> Self {
        Self::random_of(random.weighted(&WEIGHTS), random)
    }

    /// A random scenario of a kind.
    pub fn random_of(kind: ScenarioKind, random: &mut Random) -> Self {
        let (count, pause_ms) = match kind {
            ScenarioKind::Quick | ScenarioKind::Polled => (1, random.in_range(0..=20)),
            ScenarioKind::Long => (random.in_range(5..=20), 300),
            ScenarioKind::Streaming => (random.in_range(20..=120), random.in_range(2..=20)),
            ScenarioKind::MultiTurn => (random.in_range(1..=2), random.in_range(0..=200)),
            ScenarioKind::Parked => (1, random.in_range(0..=200)),
            // Longer than all faults together may delay the cancel.
            ScenarioKind::Cancelled => (1, 90_000),
            ScenarioKind::Retried => (random.in_range(1..=3), random.in_range(0..=100)),
            ScenarioKind::Failing => (random.in_range(0..=1), random.in_range(0..=100)),
            ScenarioKind::Checkpointed => (random.in_range(3..=8), random.in_range(20..=600)),
            ScenarioKind::Panicking => (1, random.in_range(0..=300)),
            ScenarioKind::Delayed => (1, random.in_range(0..=100)),
            ScenarioKind::FollowUp => (random.in_range(1..=3), random.in_range(0..=300)),
        };
        let delay_ms = match kind {
            ScenarioKind::Delayed => random.in_range(500..=5_000),
            // Some are canceled before their earliest start.
            ScenarioKind::Cancelled if random.percent(20) => 60_000,
            _ => 0,
        };
        Self { kind, count, pause_ms, delay_ms }
    }

    /// The states in which such a task may end.
    pub const fn end_states(&self) -> &'static [&'static str] {
        match self.kind {
            ScenarioKind::Parked => &["input-required"],
            // The cancel may arrive after the end.
            ScenarioKind::Cancelled => &["canceled", "completed"],
            ScenarioKind::Failing => &["failed"],
            _ => &["completed"],
        }
    }

    /// The text of the first message.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a scenario has string keys")
    }

    /// Parses the text of a message.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl ScenarioKind {
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
    use super::{Scenario, ScenarioKind, WEIGHTS};
    use crate::random::Random;

    #[test]
    fn a_scenario_survives_formatting_and_parsing() {
        let mut random = Random::new(1);
        for (kind, _) in WEIGHTS {
            let scenario = Scenario::random_of(kind, &mut random);
            assert_eq!(Scenario::parse(&scenario.text()), Some(scenario));
            let name = serde_json::to_value(kind).expect("a name");
            assert_eq!(name, kind.name());
        }
        assert_eq!(Scenario::parse("answer"), None);
    }

    #[test]
    fn every_kind_occurs() {
        let mut random = Random::new(1);
        let kinds: std::collections::BTreeSet<ScenarioKind> =
            (0..2_000).map(|_| Scenario::random(&mut random).kind).collect();
        assert_eq!(kinds.len(), WEIGHTS.len());
    }
}
