//! Decides from records alone whether the promises were kept. Pure: the same records give the same verdict.

mod effects;
mod ends;
#[cfg(test)]
mod forged;
mod log;
mod runs;
mod streams;

pub use effects::step_name;

use crate::records::TaskRecord;
use serde::Serialize;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The task; empty where it is about none.
    pub task: String,
    /// Which promise.
    pub rule: Rule,
    /// What is wrong.
    pub what: String,
}

/// Promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// An acknowledged task is there.
    NotLost,
    /// It has ended or is parked, within the time that it had.
    Ended,
    /// It is in a state that its kind leads to.
    RightEnd,
    /// One message makes one task.
    OneTask,
    /// It has one terminal status, and nothing behind it.
    OneEnd,
    /// Its log is numbered 1, 2, 3, …
    Gapless,
    /// An ended or parked task has no place in the queue.
    NoRunLeft,
    /// Dead letters are the failed tasks.
    DeadLetters,
    /// A subscriber sees the events of the log, in order, none twice, none left out.
    ExactStream,
    /// Folding events gives the snapshot.
    Fold,
    /// A run that another one has followed writes no more.
    Fenced,
    /// What was committed under a name is not done again.
    StepOnce,
    /// A completed task has every effect.
    StepDone,
    /// A task does not start before its time.
    NotBefore,
    /// Clients get answers, and such that make sense.
    Answers,
    /// A process does not panic.
    NoPanic,
}

/// What is wrong with a task.
pub fn check(record: &TaskRecord) -> Vec<Violation> {
    let mut found = Found { task: &record.task, list: Vec::new() };
    ends::check(record, &mut found);
    if let Some(stored) = &record.stored {
        log::check(stored, &mut found);
        runs::check(stored, record, &mut found);
        streams::check(stored, record, &mut found);
        effects::check(stored, record, &mut found);
    }
    found.list
}

/// Violations of one task.
struct Found<'a> {
    task: &'a str,
    list: Vec<Violation>,
}

impl Found<'_> {
    fn add(&mut self, rule: Rule, what: impl Into<String>) {
        self.list.push(Violation { task: self.task.to_owned(), rule, what: what.into() });
    }
}
