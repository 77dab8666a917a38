//! Fencing: a run that another run has followed writes nothing more.
//!
//! A run starts after its claim, and the claim fences all earlier runs. So everything that an
//! earlier run wrote was written before the later one started. All times come from one machine's
//! clock.

use super::violation::{Promise, ViolationList};
use crate::{
    journal::ExecutorAction,
    records::{StoredTask, TaskRecord},
};

/// A run: its id and start time.
type Started<'a> = (&'a str, i64);

pub(super) fn check(stored: &StoredTask, record: &TaskRecord, violations: &mut ViolationList<'_>) {
    let runs: Vec<Started<'_>> = record
        .journal_entries
        .iter()
        .filter(|action| matches!(action.what, ExecutorAction::Started { .. }))
        .map(|action| (action.run.as_str(), action.at))
        .collect();
    let mut latest = 0;
    for entry in &stored.log {
        let Some(run) = entry.run() else { continue };
        let Some(index) = runs.iter().position(|(id, _)| *id == run) else {
            violations.add(
                Promise::Fenced,
                format!("entry {} is of run {run} that never began", entry.seq),
            );
            return;
        };
        if index < latest {
            let after = runs[latest].0;
            violations.add(
                Promise::Fenced,
                format!("entry {} of run {run} follows run {after}", entry.seq),
            );
            return;
        }
        latest = index;
        if let Some((next, started)) =
            runs.get(index + 1).filter(|(_, started)| entry.at > *started)
        {
            let late = (entry.at - started) / 1_000;
            violations.add(
                Promise::Fenced,
                format!(
                    "entry {} of run {run} was written {late} ms after run {next} began",
                    entry.seq
                ),
            );
            return;
        }
    }
}
