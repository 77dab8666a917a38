//! What operators ask: dead letters, and what goes on.

use crate::AcceptNew;
use longhaul_domain::{
    AgentName, ContextId, FailureKind, OwnerId, TaskId, TaskKey, Timestamp, WorkerId,
};
use std::time::Duration;

/// A task that has failed and that nobody has dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The task.
    pub key: TaskKey,
    /// Name of its owner.
    pub owner_name: String,
    /// Who was to do it.
    pub agent: AgentName,
    /// The conversation.
    pub context: ContextId,
    /// When it failed.
    pub at: Timestamp,
    /// What kind of failure it is.
    pub because: FailureKind,
    /// Why, for operators.
    pub cause: String,
    /// How many attempts there were.
    pub attempts: i32,
    /// What became of it; none: it waits for somebody.
    pub handled: Option<DeadLetterResolution>,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterResolution {
    /// It was begun again as this task.
    Redriven(TaskId),
    /// Somebody said that nothing needs to be done.
    Dismissed,
}

/// Which dead letters to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// Of one owner; none: of all.
    pub owner: Option<OwnerId>,
    /// Of one agent.
    pub agent: Option<AgentName>,
    /// Of one kind.
    pub because: Option<FailureKind>,
    /// Failed at or after this time.
    pub from: Option<Timestamp>,
    /// Failed before this time.
    pub before: Option<Timestamp>,
    /// With this text in the cause, whatever the case of its letters.
    pub cause_contains: Option<String>,
    /// Also those that somebody has dealt with.
    pub handled: bool,
    /// Behind this one: time and id of the last one of the page before.
    pub after: Option<(Timestamp, TaskId)>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Begins the work of a dead task again, as a new task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The dead task.
    pub dead: TaskKey,
    /// The new one, of the same owner.
    pub new: AcceptNew,
}

/// What became of a wish to redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveOutcome {
    /// The new task is durable, and the dead letter is dealt with.
    Now {
        /// The new task.
        task: TaskId,
    },
    /// It had been redriven before.
    Already {
        /// As this task.
        task: TaskId,
    },
    /// The task is not on the list.
    NotDead,
}

/// What waits and what runs of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// The agent.
    pub agent: AgentName,
    /// Runnable and not claimed.
    pub ready: u64,
    /// To be run later: delayed, scheduled, or between two attempts.
    pub scheduled: u64,
    /// Held back because their concurrency key is in use.
    pub held_back: u64,
    /// Claimed by a worker.
    pub running: u64,
    /// How long the oldest runnable one has waited.
    pub oldest: Option<Duration>,
}

/// A worker, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// This incarnation.
    pub id: WorkerId,
    /// For people.
    pub name: String,
    /// What it runs.
    pub agents: Vec<AgentName>,
    /// Until when its lease goes.
    pub lease_until: Timestamp,
    /// How many runs it holds.
    pub running: u64,
}

/// What is known of how a task is run, besides its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDetails {
    /// Which attempt it is, or was when the task ended; 0 when it ended without one.
    pub attempt: i32,
    /// Its priority.
    pub priority: i16,
    /// By when it must have ended. None for a task that has ended.
    pub deadline: Option<Timestamp>,
    /// Where it stands in the queue; none: it is parked or has ended.
    pub queue: Option<QueuePosition>,
}

/// A task's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition {
    /// Whether a worker runs it.
    pub running: bool,
    /// When it became, or becomes, runnable.
    pub run_at: Timestamp,
    /// How many workers in a row were lost while they ran it.
    pub losses: i32,
}
