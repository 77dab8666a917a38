//! Promises, and violations of them.

use serde::Serialize;

/// A violation of a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The task; empty when the violation concerns none.
    pub task: String,
    /// The broken promise.
    pub rule: Promise,
    /// The evidence.
    pub what: String,
}

/// Promises of Longhaul.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// An acknowledged task exists.
    NotLost,
    /// Every task has ended or is parked within its time.
    Ended,
    /// Every task is in a state that its scenario leads to.
    RightEnd,
    /// One message makes one task.
    OneTask,
    /// A task has one terminal status and no entry after it.
    OneEnd,
    /// A log is numbered 1, 2, 3, …
    Gapless,
    /// An ended or parked task has no row in the queue.
    NoRunLeft,
    /// The dead letters are the failed tasks.
    DeadLetters,
    /// A subscriber sees the events of the log in order, each once.
    ExactStream,
    /// Folding the events gives the snapshot.
    Fold,
    /// A run that another run has followed writes nothing more.
    Fenced,
    /// A committed step is not executed again.
    StepOnce,
    /// A completed task has the effect of every step.
    StepDone,
    /// A task does not start before its time.
    NotBefore,
    /// Clients get valid answers.
    Answers,
    /// No process panics.
    NoPanic,
}

/// The violations found for one task.
pub(super) struct ViolationList<'a> {
    pub(super) task: &'a str,
    pub(super) list: Vec<Violation>,
}

impl ViolationList<'_> {
    pub(super) fn add(&mut self, rule: Promise, what: impl Into<String>) {
        self.list.push(Violation { task: self.task.to_owned(), rule, what: what.into() });
    }
}
