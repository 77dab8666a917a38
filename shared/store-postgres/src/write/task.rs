//! A task whose rows are locked, and what may be done to it in memory.

use crate::entry::{Encoded, UNKNOWN};
use chrono::TimeDelta;
use longhaul_domain::{
    AgentName, ContextId, EntryKind, Epoch, Fence, Seq, TaskFailure, TaskKey, TaskState, Timestamp,
};
use longhaul_store::TaskUsage;
use std::time::Duration;
use uuid::Uuid;

/// Where an unclaimed run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It may be claimed.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// Its concurrency key is in use.
    HeldBack,
}

impl Stage {
    /// The number that stands for it in the database. Never changes.
    pub const fn number(self) -> i16 {
        match self {
            Self::Ready => 0,
            Self::Scheduled => 1,
            Self::HeldBack => 2,
        }
    }

    /// The stage of a number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Ready),
            1 => Some(Self::Scheduled),
            2 => Some(Self::HeldBack),
            _ => None,
        }
    }
}

/// A queued or running task's place in the queue, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Not to be claimed before.
    pub due: Timestamp,
    /// Where it stands, while it is not claimed.
    pub stage: Stage,
    /// When it has waited too long to be claimed.
    pub queue_until: Option<Timestamp>,
    /// How often the right to write changed hands.
    pub epoch: i32,
    /// Token and worker of the claim, while it is claimed.
    pub holder: Option<(Uuid, Uuid)>,
    /// Which attempt it is.
    pub attempt: i32,
    /// How many workers were lost with it.
    pub losses: i32,
    /// Whether an end was handed back because of an unread message.
    pub handed_back: bool,
    /// When it is canceled by force.
    pub cancel_at: Option<Timestamp>,
    /// Trace context of the request that made it runnable.
    pub trace: Option<String>,
    /// Version of the executor that it is to stay with.
    pub version: Option<String>,
}

impl Run {
    /// Whether this fence is the present right to write.
    pub fn is_held_by(&self, fence: Fence) -> bool {
        self.epoch == fence.epoch.0 && self.holder.is_some_and(|(token, _)| token == fence.token)
    }

    /// Offers it again: whoever held it may not write any more.
    pub const fn offer(&mut self) {
        self.holder = None;
        self.stage = Stage::Ready;
        self.epoch += 1;
    }

    /// Whether it takes a place among the runs of its concurrency key, or is about to.
    pub fn uses_key(&self) -> bool {
        self.holder.is_some() || self.stage == Stage::Ready
    }
}

/// A new entry with its place.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its place.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The attempt that wrote it.
    pub attempt: i32,
    /// The entry.
    pub entry: Encoded,
}

/// A task whose rows are locked.
#[derive(Debug, Clone)]
pub struct LockedTask {
    /// Whose, and which.
    pub key: TaskKey,
    /// Who does it.
    pub agent: AgentName,
    /// The conversation.
    pub context: ContextId,
    /// Its priority in the queue.
    pub priority: i16,
    /// How long it may wait to be claimed, in milliseconds.
    pub queue_timeout_ms: Option<i64>,
    /// What it must not run beside too many of.
    pub concurrency_key: Option<String>,
    /// By when it must have ended. None when it has.
    pub deadline: Option<Timestamp>,
    /// Version of the executor that ran it last.
    pub version: Option<String>,
    /// The database's time once the row was locked.
    pub now: Timestamp,
    /// Its state.
    pub state: TaskState,
    /// Since when.
    pub status_at: Timestamp,
    /// The entry that made it so.
    pub status_seq: Seq,
    /// The last entry.
    pub last_seq: Seq,
    /// The last message of the client.
    pub message_seq: Seq,
    /// Which turn it is.
    pub turn: i32,
    /// Epoch of the last run that ended.
    pub epoch: i32,
    /// Epoch of the last operation.
    pub op_epoch: i32,
    /// The last operation of that epoch.
    pub last_op: i32,
    /// Token of the settle that gave the run away last.
    pub settle_token: Option<Uuid>,
    /// What the client has said after the first message.
    pub follow_ups: TaskUsage,
    /// Its place in the queue, when it is queued or running.
    pub run: Option<Run>,
    /// What that place was when the rows were locked.
    pub run_before: Option<Run>,
    /// What is to be appended.
    pub placed: Vec<Placed>,
    /// Why it has failed just now.
    pub dead: Option<TaskFailure>,
}

impl LockedTask {
    /// The time of what is written now; a task's time does not go backwards, whatever the clock does.
    pub fn at(&self) -> Timestamp {
        self.now.max(self.status_at)
    }

    /// A moment after now.
    pub fn after(&self, delay: Duration) -> Timestamp {
        later(self.now, delay)
    }

    /// Appends an entry and gives its place. The state must allow it: see [`check_output`](longhaul_store::check_output).
    pub fn place(&mut self, entry: Encoded, attempt: i32) -> Seq {
        let (seq, at) = (self.last_seq.next(), self.at());
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
            if failed.attempts == UNKNOWN {
                failed.attempts = attempt;
            }
            self.dead = Some(failed);
        }
        self.placed.push(Placed { seq, at, attempt, entry });
        seq
    }

    /// Takes the run off: nobody may write any more, and a later run continues the count of epochs.
    pub fn drop_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.epoch = self.epoch.max(run.epoch);
            self.version = run.version;
        }
    }

    /// When it will have waited too long if it becomes runnable then.
    pub fn queue_until(&self, runnable: Timestamp) -> Option<Timestamp> {
        let millis = self.queue_timeout_ms?;
        Some(later(runnable, Duration::from_millis(millis.unsigned_abs())))
    }

    /// Whether a place of its concurrency key has come free, so that another run may take it.
    pub fn frees_key(&self) -> bool {
        self.concurrency_key.is_some()
            && self.run_before.as_ref().is_some_and(Run::uses_key)
            && self.run.as_ref().is_none_or(|run| run.holder.is_none())
            && self.run != self.run_before
    }

    /// Notes an operation, so that it is recognised when it comes again.
    pub const fn note_op(&mut self, epoch: Epoch, op: i32) {
        (self.op_epoch, self.last_op) = (epoch.0, op);
    }

    /// Whether an operation was done before.
    pub const fn has_done(&self, epoch: Epoch, op: i32) -> bool {
        self.op_epoch == epoch.0 && op <= self.last_op
    }
}

/// A moment after another one; at most the year 9999, which the database can hold.
fn later(from: Timestamp, delay: Duration) -> Timestamp {
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
        let run = Run {
            due: now,
            stage: Stage::Ready,
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
            placed: Vec::new(),
            dead: None,
        }
    }
}
