//! The log of a task, for its owner: messages, statuses, and the failures of attempts.
//!
//! One request reads one page, bounded in entries and bytes; the next page begins after its last
//! entry, so following a log costs what is new in it. The owner reads the first line of a cause;
//! operators read all of it.

use super::{Budgeted, Caller, Result, Service, gone, report::report};
use longhaul_domain::{
    EntryBody, LogEntry, Note, Seq, Task, TaskFailure, TaskState, log::StatusChange,
};
use longhaul_store::{ReadLimit, SnapshotOptions};
use longhaul_wire::{RunReport, TaskRef};

/// Most entries of one page.
pub const MAX_PAGE_ENTRIES: u32 = 1_000;
/// Size at which a page ends, in bytes; its last entry may exceed it.
const MAX_PAGE_BYTES: u64 = 1 << 20;
/// Memory reserved for a page: the entries as stored and as written.
const PAGE_BUDGET_BYTES: u64 = 4 * MAX_PAGE_BYTES;
/// Longest cause that an owner reads.
const MAX_CAUSE_CHARS: usize = 500;

/// The part of a log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// Start of the page.
    pub from: LogStart,
    /// Most entries to look at.
    pub limit: u32,
    /// True for notes only: about attempts, workers and cancels.
    pub notes: bool,
}

/// Start of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStart {
    /// After this entry.
    After(Seq),
    /// This many entries before the end.
    Tail(u32),
}

/// A page of a log, and the task's state.
#[derive(Debug)]
pub struct TaskLog {
    pub task: Task,
    /// The run report of the durability extension.
    pub run: Option<RunReport>,
    pub entries: Vec<LogEntry>,
    /// Last entry looked at; the next page begins after it.
    pub next: Seq,
    /// True when there are entries after it.
    pub more: bool,
    /// State of the task when the page was read.
    pub state: TaskState,
}

impl Service {
    /// Reads a page of the log of a task that the caller owns.
    pub async fn task_log(
        &self,
        caller: &Caller,
        task: &TaskRef,
        range: LogRange,
    ) -> Result<Budgeted<TaskLog>> {
        let task = self.snapshot(caller, task, SnapshotOptions::STATUS).await?;
        let after = match range.from {
            LogStart::After(seq) => seq,
            LogStart::Tail(entries) => Seq((task.last_seq.0 - i64::from(entries)).max(0)),
        };
        // Before the read, whose size is bounded by the page.
        let permit = self.response_budget.acquire(PAGE_BUDGET_BYTES).await?;
        let limit =
            ReadLimit { rows: range.limit.clamp(1, MAX_PAGE_ENTRIES), bytes: MAX_PAGE_BYTES };
        let page = self.store.read_log(task.key, after, limit).await;
        let page = page.map_err(|e| caller.failed(&e))?.ok_or_else(|| gone(task.key.task))?;
        let facts = self.store.run_details(vec![task.key]).await.map_err(|e| caller.failed(&e))?;
        let run = facts.get(&task.key);
        let run = run.map(|facts| report(facts, &task.agent, self.clock.now()));
        // A cursor of another task may lie beyond the end of this log.
        let next = page.entries.last().map_or(after.min(page.last_seq), |entry| entry.seq);
        let wanted = |entry: &LogEntry| !range.notes || matches!(entry.body, EntryBody::Note(_));
        let entries = page.entries.into_iter().filter(wanted).map(for_owner).collect();
        let (more, state) = (next < page.last_seq, page.state);
        Ok(Budgeted { value: TaskLog { task, run, entries, next, more, state }, permit })
    }
}

/// Removes what only operators read: the rest of a cause, and the worker.
fn for_owner(mut entry: LogEntry) -> LogEntry {
    match &mut entry.body {
        EntryBody::Note(Note::AttemptFailed { cause, .. })
        | EntryBody::Status(StatusChange { failed: Some(TaskFailure { cause, .. }), .. }) => {
            // Further lines may hold paths and stack traces.
            *cause = first_line(cause);
        }
        EntryBody::Note(Note::WorkerLost { worker }) => worker.clear(),
        EntryBody::Note(Note::CancelRequested)
        | EntryBody::Status(_)
        | EntryBody::Message(_)
        | EntryBody::Artifact(_) => {}
    }
    entry
}

fn first_line(cause: &str) -> String {
    let line = cause.trim_start().lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(MAX_CAUSE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Node, caller, send, working};
    use longhaul_domain::{OwnerId, Timestamp};
    use longhaul_wire::{ProtocolError, SendOutcome};

    const ALL: LogRange = LogRange { from: LogStart::After(Seq::START), limit: 100, notes: false };

    #[test]
    fn an_owner_reads_the_first_line_of_a_cause_and_no_worker_name() {
        let cause = "boom\n  File \"/srv/agent.py\"".to_owned();
        let note = Note::AttemptFailed { attempt: 1, cause, retry_in_ms: 5 };
        let shown = |note| {
            let (seq, at) = (Seq(1), Timestamp::UNIX_EPOCH);
            for_owner(LogEntry { seq, at, attempt: 1, body: EntryBody::Note(note) }).body.encode()
        };
        let failed = r#"{"note":"attempt-failed","attempt":1,"cause":"boom","retryInMs":5}"#;
        assert_eq!(shown(note), failed);
        let lost = shown(Note::WorkerLost { worker: "w-7".to_owned() });
        assert!(!lost.contains("w-7"), "{lost}");
        assert_eq!(first_line(&"ä".repeat(900)).chars().count(), MAX_CAUSE_CHARS + 1);
    }

    #[tokio::test]
    async fn a_log_is_read_page_by_page_by_its_owner_alone() {
        let node = Node::start().await;
        let sent = node.service().send(&caller(), send("m")).await.unwrap().value;
        let SendOutcome::Task(task) = sent else { panic!("not a task") };
        node.claim().await.append(vec![working()]).await;
        let named = TaskRef::Known(task.key.task);
        let read =
            async |range| node.service().task_log(&caller(), &named, range).await.unwrap().value;
        let full = read(ALL).await;
        assert_eq!((full.next, full.more, full.entries.len()), (Seq(2), false, 2));
        assert_eq!(full.run.map(|run| run.attempt), Some(1));
        let first = read(LogRange { limit: 1, ..ALL }).await;
        assert_eq!((first.next, first.more, first.entries.len()), (Seq(1), true, 1));
        let tail = read(LogRange { from: LogStart::Tail(1), ..ALL }).await;
        assert_eq!((tail.next, tail.entries), (full.next, full.entries[1..].to_vec()));
        let notes = read(LogRange { notes: true, ..ALL }).await;
        assert_eq!((notes.next, notes.entries), (Seq(2), vec![]));
        let beyond = read(LogRange { from: LogStart::After(Seq(99)), ..ALL }).await;
        assert_eq!((beyond.next, beyond.more), (Seq(2), false));
        let mut stranger = caller();
        stranger.principal.owner = OwnerId(stranger.principal.owner.0 + 1);
        let refused = node.service().task_log(&stranger, &named, ALL).await;
        assert!(matches!(refused, Err(ProtocolError::TaskNotFound { .. })), "{refused:?}");
    }
}
