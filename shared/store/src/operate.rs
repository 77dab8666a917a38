//! Views and commands for operators: dead letters, queues, workers and run details.

use crate::AcceptNew;
use longhaul_domain::{
    AgentName, ContextId, FailureKind, OwnerId, TaskId, TaskKey, Timestamp, WorkerId,
};
use std::time::Duration;

/// A failed task that awaits an operator's decision, or has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The task.
    pub key: TaskKey,
    /// Name of its owner.
    pub owner_name: String,
    /// The agent of the task.
    pub agent: AgentName,
    /// The context (conversation).
    pub context: ContextId,
    /// Time of the failure.
    pub at: Timestamp,
    /// Kind of the failure.
    pub because: FailureKind,
    /// Cause, for operators.
    pub cause: String,
    /// Number of attempts.
    pub attempts: i32,
    /// Resolution; `None` while the letter is open.
    pub handled: Option<DeadLetterResolution>,
}

/// Resolution of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterResolution {
    /// Redriven as this task.
    Redriven(TaskId),
    /// Dismissed: no work is needed.
    Dismissed,
}

/// A filter for dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// One owner; `None`: all owners.
    pub owner: Option<OwnerId>,
    /// One agent.
    pub agent: Option<AgentName>,
    /// One kind of failure.
    pub because: Option<FailureKind>,
    /// Failed at or after this time.
    pub from: Option<Timestamp>,
    /// Failed before this time.
    pub before: Option<Timestamp>,
    /// Text in the cause; the case of letters is ignored.
    pub cause_contains: Option<String>,
    /// Includes resolved letters.
    pub handled: bool,
    /// Position of the page: time and id of the last letter of the page before.
    pub after: Option<(Timestamp, TaskId)>,
    /// Maximum number of letters, 1 to 1,000.
    pub limit: u32,
}

/// Starts the work of a dead task again, as a new task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The dead task.
    pub dead: TaskKey,
    /// The new task, of the same owner.
    pub new: AcceptNew,
}

/// Outcome of a redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveOutcome {
    /// The new task is durable, and the dead letter is resolved.
    Now {
        /// The new task.
        task: TaskId,
    },
    /// The letter was redriven before.
    Already {
        /// The task of that redrive.
        task: TaskId,
    },
    /// The task is not an open dead letter.
    NotDead,
}

/// Queue lengths of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// The agent.
    pub agent: AgentName,
    /// Runnable and not claimed.
    pub ready: u64,
    /// Runnable later: delayed, scheduled, or between two attempts.
    pub scheduled: u64,
    /// Held back because their concurrency key is in use.
    pub held_back: u64,
    /// Claimed by a worker.
    pub running: u64,
    /// Waiting time of the oldest runnable task.
    pub oldest: Option<Duration>,
}

/// A worker as listed for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Id of this incarnation.
    pub id: WorkerId,
    /// Name for people.
    pub name: String,
    /// Agents that it runs.
    pub agents: Vec<AgentName>,
    /// End of its lease.
    pub lease_until: Timestamp,
    /// Number of runs that it holds.
    pub running: u64,
}

/// Details of how a task is run, besides its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDetails {
    /// Current attempt, or the last one of an ended task; 0 if it ended without an attempt.
    pub attempt: i32,
    /// Its priority.
    pub priority: i16,
    /// Deadline for its end; `None` for a task that has ended.
    pub deadline: Option<Timestamp>,
    /// Position in the queue; `None`: the task is parked or has ended.
    pub queue: Option<QueuePosition>,
}

/// A task's position in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition {
    /// Set while a worker runs the task.
    pub running: bool,
    /// Time at which it became, or becomes, runnable.
    pub run_at: Timestamp,
    /// Number of workers lost in a row while running it.
    pub losses: i32,
}
