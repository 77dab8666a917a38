//! Final failures of tasks, worded the same whether a worker or a store decides them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The details of a final failure. The task is listed as a dead letter until an operator redrives
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure {
    /// The kind of failure.
    pub because: FailureKind,
    /// The cause, without U+0000.
    pub cause: String,
    /// The number of attempts made.
    pub attempts: i32,
}

/// The kinds of final failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The executor reported that no attempt can succeed.
    Fatal,
    /// The last attempt failed.
    AttemptsUsedUp,
    /// Too many workers in a row were lost while running the task.
    Poison,
    /// The runnable task was not started within its queue timeout.
    QueueTimeout,
    /// The last attempt exceeded its start-to-close timeout.
    AttemptTimeout,
    /// The last attempt exceeded its no-progress timeout.
    NoProgress,
    /// The task had not ended by its deadline.
    Deadline,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Fatal,
        Self::AttemptsUsedUp,
        Self::Poison,
        Self::QueueTimeout,
        Self::AttemptTimeout,
        Self::NoProgress,
        Self::Deadline,
    ];

    /// The name, as in `queue-timeout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::AttemptsUsedUp => "attempts-used-up",
            Self::Poison => "poison",
            Self::QueueTimeout => "queue-timeout",
            Self::AttemptTimeout => "attempt-timeout",
            Self::NoProgress => "no-progress",
            Self::Deadline => "deadline",
        }
    }

    /// The number of the kind in a store. Never changes.
    pub const fn number(self) -> i16 {
        match self {
            Self::Fatal => 1,
            Self::AttemptsUsedUp => 2,
            Self::Poison => 3,
            Self::QueueTimeout => 4,
            Self::AttemptTimeout => 5,
            Self::NoProgress => 6,
            Self::Deadline => 7,
        }
    }

    /// The kind with this number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The cause shown to clients when only operators may read the real one.
pub const WITHHELD_CAUSE: &str =
    "the agent failed; its operator finds the cause in the log and among the dead letters";

impl TaskFailure {
    /// Creates a failure. U+0000 in the cause is replaced, because Postgres cannot store it.
    pub fn new(because: FailureKind, cause: &str, attempts: i32) -> Self {
        Self { because, cause: cause.replace('\0', "\u{fffd}"), attempts }
    }

    /// The failure of a task that has passed its deadline.
    pub fn deadline(attempts: i32) -> Self {
        Self::new(FailureKind::Deadline, "the deadline of the task has passed", attempts)
    }

    /// The failure of a task that exceeded its queue timeout.
    pub fn queue_timeout(attempts: i32) -> Self {
        let cause = "timed out in the queue: no worker started the task in time";
        Self::new(FailureKind::QueueTimeout, cause, attempts)
    }

    /// The failure of a quarantined task, after `losses` workers in a row were lost.
    pub fn poison(losses: i32, attempts: i32) -> Self {
        let cause =
            format!("quarantined: {losses} workers in a row were lost while they ran the task");
        Self::new(FailureKind::Poison, &cause, attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_their_names_and_numbers() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_number(kind.number()), Some(kind));
            assert_eq!(FailureKind::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!(FailureKind::from_number(0), None);
    }
}
