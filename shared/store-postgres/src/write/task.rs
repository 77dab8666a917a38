//! A task with locked rows, and the changes that may be made to it in memory.

use crate::entry::{EncodedEntry, UNKNOWN_ATTEMPTS};
use chrono::TimeDelta;
use longhaul_domain::{
    AgentName, ContextId, EntryKind, Epoch, Fence, Seq, TaskFailure, TaskKey, TaskState, Timestamp,
};
use longhaul_store::TaskUsage;
use std::time::Duration;
use uuid::Uuid;

/// Queue stage of an unclaimed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStage {
    /// Claimable.
    Ready,
    /// Due later.
    Scheduled,
    /// Blocked by its concurrency key.
    HeldBack,
}

impl RunStage {
    /// Number that represents the stage in the database. Never changes.
    pub const fn number(self) -> i16 {
        match self {
            Self::Ready => 0,
            Self::Scheduled => 1,
            Self::HeldBack => 2,
        }
    }

    /// Stage represented by a number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Ready),
            1 => Some(Self::Scheduled),
            2 => Some(Self::HeldBack),
            _ => None,
        }
    }
}

/// A row of `runs`: a queued or running task's position in the queue, and its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Earliest time to claim it.
    pub due: Timestamp,
    /// Queue stage, while unclaimed.
    pub stage: RunStage,
    /// Time at which its queue timeout expires.
    pub queue_until: Option<Timestamp>,
    /// Fencing epoch.
    pub epoch: i32,
    /// Token and worker of the claim, while claimed.
    pub holder: Option<(Uuid, Uuid)>,
    /// Number of the attempt.
    pub attempt: i32,
    /// Number of workers lost with it in a row.
    pub losses: i32,
    /// Set once a settle was handed back because of an unread message.
    pub handed_back: bool,
    /// Time of the forced cancel.
    pub cancel_at: Option<Timestamp>,
    /// Trace context of the request that made it runnable.
    pub trace: Option<String>,
    /// Executor version that it is pinned to.
    pub version: Option<String>,
}

impl RunRow {
    /// Returns whether this fence is the current right to write.
    pub fn is_held_by(&self, fence: Fence) -> bool {
        self.epoch == fence.epoch.0 && self.holder.is_some_and(|(token, _)| token == fence.token)
    }

    /// Releases the claim and makes the run ready. The previous holder is fenced out.
    pub const fn reoffer(&mut self) {
        self.holder = None;
        self.stage = RunStage::Ready;
        self.epoch += 1;
    }

    /// Returns whether the run occupies a slot of its concurrency key, or is about to.
    pub fn uses_concurrency_key(&self) -> bool {
        self.holder.is_some() || self.stage == RunStage::Ready
    }
}

/// A new log entry.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Sequence.
    pub seq: Seq,
    /// Time.
    pub at: Timestamp,
    /// Attempt that wrote it.
    pub attempt: i32,
    /// Encoded entry.
    pub entry: EncodedEntry,
}

/// A task whose rows are locked.
#[derive(Debug, Clone)]
pub struct LockedTask {
    /// Owner and task id.
    pub key: TaskKey,
    /// Agent that runs it.
    pub agent: AgentName,
    /// Context id.
    pub context: ContextId,
    /// Queue priority.
    pub priority: i16,
    /// Queue timeout in milliseconds.
    pub queue_timeout_ms: Option<i64>,
    /// Concurrency key.
    pub concurrency_key: Option<String>,
    /// Deadline; `None` once the task has ended.
    pub deadline: Option<Timestamp>,
    /// Executor version of the last run.
    pub version: Option<String>,
    /// Database time after the row was locked.
    pub now: Timestamp,
    /// Current state.
    pub state: TaskState,
    /// Time of the status.
    pub status_at: Timestamp,
    /// Sequence of the entry that set the status.
    pub status_seq: Seq,
    /// Sequence of the last entry.
    pub last_seq: Seq,
    /// Sequence of the client's last message.
    pub message_seq: Seq,
    /// Number of the turn.
    pub turn: i32,
    /// Epoch of the last run that ended.
    pub epoch: i32,
    /// Epoch of the last operation.
    pub op_epoch: i32,
    /// Number of the last operation in that epoch.
    pub last_op: i32,
    /// Token of the last settle that gave up the run.
    pub settle_token: Option<Uuid>,
    /// Size of the client's messages after the first.
    pub follow_ups: TaskUsage,
    /// The run, while queued or running.
    pub run: Option<RunRow>,
    /// The run as it was when the rows were locked.
    pub run_before: Option<RunRow>,
    /// Entries to append.
    pub new_entries: Vec<NewEntry>,
    /// Failure, if the task has just failed.
    pub failure: Option<TaskFailure>,
}

impl LockedTask {
    /// Time of new entries. A task's time never decreases, whatever the clock does.
    pub fn write_time(&self) -> Timestamp {
        self.now.max(self.status_at)
    }

    /// Returns whether this fence may write to the task now.
    pub fn is_held_by(&self, fence: Fence) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_held_by(fence))
    }

    /// Time after a delay from now.
    pub fn time_after(&self, delay: Duration) -> Timestamp {
        saturating_add(self.now, delay)
    }

    /// Appends an entry and returns its sequence. The state must allow it: see
    /// [`check_output`](longhaul_store::check_output).
    pub fn append_entry(&mut self, entry: EncodedEntry, attempt: i32) -> Seq {
        let (seq, at) = (self.last_seq.next(), self.write_time());
        self.last_seq = seq;
        if entry.kind == EntryKind::Message {
            self.message_seq = seq;
        }
        if let Some(state) = entry.state {
            (self.state, self.status_at, self.status_seq) = (state, at, seq);
            if state.is_terminal() {
                self.deadline = None;
            }
        }
        if let Some(failed) = &entry.failed {
            let mut failed = TaskFailure::clone(failed);
            // The last attempt is the one that appends the failure.
            if failed.attempts == UNKNOWN_ATTEMPTS {
                failed.attempts = attempt;
            }
            self.failure = Some(failed);
        }
        self.new_entries.push(NewEntry { seq, at, attempt, entry });
        seq
    }

    /// Removes the run: its holder is fenced out, and a later run continues the epochs.
    pub fn remove_run(&mut self) {
        if let Some(run) = self.run.take() {
            // A later run must have a higher epoch than any earlier one.
            self.epoch = self.epoch.max(run.epoch);
            self.version = run.version;
        }
    }

    /// End of the queue timeout of a run that becomes runnable then.
    pub fn queue_until(&self, runnable: Timestamp) -> Option<Timestamp> {
        let millis = self.queue_timeout_ms?;
        Some(saturating_add(runnable, Duration::from_millis(millis.unsigned_abs())))
    }

    /// Returns whether a slot of its concurrency key has become free.
    pub fn frees_concurrency_key(&self) -> bool {
        self.concurrency_key.is_some()
            && self.run_before.as_ref().is_some_and(RunRow::uses_concurrency_key)
            && self.run.as_ref().is_none_or(|run| run.holder.is_none())
            && self.run != self.run_before
    }

    /// Records an operation, so that its repeat is recognised.
    pub const fn record_op(&mut self, epoch: Epoch, op: i32) {
        (self.op_epoch, self.last_op) = (epoch.0, op);
    }

    /// Returns whether an operation was done before.
    pub const fn is_op_done(&self, epoch: Epoch, op: i32) -> bool {
        self.op_epoch == epoch.0 && op <= self.last_op
    }
}

/// Adds a delay; at most the year 9999, which the database can store.
fn saturating_add(from: Timestamp, delay: Duration) -> Timestamp {
    let limit = Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(from);
    let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
    from.checked_add_signed(delay).map_or(limit, |at| at.min(limit))
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use longhaul_domain::{OwnerId, TaskId};

    /// A task that a worker runs.
    pub fn running() -> LockedTask {
        let now = Timestamp::UNIX_EPOCH + TimeDelta::days(20_000);
        let run = RunRow {
            due: now,
            stage: RunStage::Ready,
            queue_until: None,
            epoch: 1,
            holder: Some((Uuid::from_u128(2), Uuid::from_u128(3))),
            attempt: 1,
            losses: 0,
            handed_back: false,
            cancel_at: None,
            trace: None,
            version: None,
        };
        LockedTask {
            key: TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(Uuid::from_u128(1)) },
            agent: AgentName::new("echo").unwrap(),
            context: ContextId::new("c").unwrap(),
            priority: 0,
            queue_timeout_ms: None,
            concurrency_key: None,
            deadline: None,
            version: None,
            now,
            state: TaskState::Submitted,
            status_at: now,
            status_seq: Seq::START,
            last_seq: Seq(1),
            message_seq: Seq(1),
            turn: 1,
            epoch: 0,
            op_epoch: 0,
            last_op: 0,
            settle_token: None,
            follow_ups: TaskUsage::default(),
            run_before: Some(run.clone()),
            run: Some(run),
            new_entries: Vec::new(),
            failure: None,
        }
    }
}
