//! Outcomes of guarded writes: each names what happened.

use longhaul_domain::{
    AgentName, ContextId, FailureKind, Fence, KeyId, OwnerId, Scopes, Seq, TaskId, TaskKey,
    TaskState, Timestamp, log::UserMessage,
};
use std::time::Duration;
use uuid::Uuid;

/// Outcome of a message that asked for a new task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The task is durable.
    Created {
        /// Time of acceptance.
        at: Timestamp,
        /// Number of the message's entry, which is the last one.
        seq: Seq,
    },
    /// Repetition of a message that was accepted before.
    Duplicate {
        /// The task that the message belongs to.
        task: TaskId,
        /// Number of the message's entry in that log.
        seq: Seq,
    },
    /// The idempotency key was used with other content.
    KeyReused,
    /// A task of this id exists, with another first message; nothing was written.
    TaskExists,
}

/// Result of looking up a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageLookup {
    /// No message with this key was accepted in the last 24 hours.
    Unknown,
    /// The message was accepted before.
    Duplicate {
        /// The task that it belongs to.
        task: TaskId,
        /// Number of its entry in that task's log.
        seq: Seq,
    },
    /// The idempotency key was used with other content.
    KeyReused,
}

/// Outcome of a message to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowedUp {
    /// The message is in the log.
    Appended {
        /// Number of its entry.
        seq: Seq,
        /// The last entry now.
        last: Seq,
        /// Set if the task was parked and has been queued again.
        woken: bool,
    },
    /// Repetition of a message that was accepted before, perhaps by another task.
    Duplicate {
        /// The task that accepted it.
        task: TaskId,
        /// Number of its entry there.
        seq: Seq,
    },
    /// The idempotency key was used with other content.
    KeyReused,
    /// The task has ended.
    Ended(TaskState),
    /// The message would exceed the task's [`TaskBudget`](crate::TaskBudget).
    OverBudget,
    /// No such task.
    NotFound,
}

/// Outcome of a cancel request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelRequested {
    /// No executor was running the task; it is canceled.
    Canceled {
        /// Number of the final status.
        seq: Seq,
    },
    /// The executor was asked to stop.
    Asked {
        /// The last entry now.
        seq: Seq,
    },
    /// The task had ended before.
    Ended(TaskState),
    /// No such task.
    NotFound,
}

/// A digest of the runs that a worker holds. Equal digests stand for the same runs, because tokens
/// are random for each claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldDigest {
    /// Number of runs.
    pub runs: u32,
    /// Exclusive or of the first half of each token.
    pub tokens: u64,
}

impl HeldDigest {
    /// Computes the digest of runs with these tokens.
    pub fn from_tokens(tokens: impl IntoIterator<Item = Uuid>) -> Self {
        tokens.into_iter().fold(Self::default(), |digest, token| Self {
            // The number tells apart what cancels out in the tokens, such as a run listed twice.
            runs: digest.runs.saturating_add(1),
            // Exclusive or does not depend on the order, which stores and workers do not share.
            tokens: digest.tokens ^ token.as_u64_pair().0,
        })
    }
}

/// Outcome of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatReply {
    /// The lease is renewed.
    Renewed {
        /// Tasks of this worker that were asked to stop; repeated at each heartbeat until they have
        /// stopped.
        cancels: Vec<TaskKey>,
        /// Digest of the runs that the store believes the worker to hold.
        held: HeldDigest,
    },
    /// The worker is unknown: its lease ran out and its runs were offered to others.
    Lost,
}

/// A claimed run, with facts of bounded size. Messages are read separately, see
/// [`WorkerStore::read_history`](crate::WorkerStore::read_history).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRun {
    /// The task.
    pub key: TaskKey,
    /// Its agent.
    pub agent: AgentName,
    /// Its context (conversation).
    pub context: ContextId,
    /// Time of acceptance.
    pub created_at: Timestamp,
    /// The right to write.
    pub fence: Fence,
    /// Number of this attempt, from 1; only failures count.
    pub attempt: i32,
    /// Number of this turn, from 1; a wake from a park begins the next turn.
    pub turn: i32,
    /// State of the task: `submitted` or, after an earlier attempt, `working`.
    pub state: TaskState,
    /// The last entry.
    pub last_seq: Seq,
    /// The client's last message.
    pub message_seq: Seq,
    /// The first message, if the log holds nothing else and the message takes at most
    /// [`MAX_OPENING_BYTES`](crate::MAX_OPENING_BYTES). Most runs then need no further read.
    pub opening: Option<UserMessage>,
    /// Set if a cancel was requested.
    pub cancel: bool,
    /// Time since the run became runnable.
    pub waited: Duration,
    /// W3C `traceparent` of the request that made it runnable.
    pub trace: Option<String>,
    /// Deadline for the end of the task.
    pub deadline: Option<Timestamp>,
    /// Time left until the deadline, by the store's clock at the claim; zero if it has passed.
    pub deadline_in: Option<Duration>,
    /// Set if an earlier run stored checkpoints.
    pub has_checkpoints: bool,
    /// Number of workers lost in a row while running the task.
    pub losses: i32,
}

/// Outcome of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The output is in the log.
    Now {
        /// The last entry.
        last: Seq,
    },
    /// The output had been written before.
    Already {
        /// The last entry.
        last: Seq,
    },
    /// Another worker holds the run, or none does; nothing was written.
    Fenced,
    /// The task has ended; nothing was written.
    Ended(TaskState),
}

/// Outcome of a settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The run ended as asked.
    Now {
        /// The last entry.
        last: Seq,
    },
    /// The run had been settled before.
    Already {
        /// The last entry.
        last: Seq,
    },
    /// A message of the client is unread: everything but the final status was written, and the run
    /// is offered again.
    HandedBack {
        /// The last entry.
        last: Seq,
    },
    /// Another worker holds the run, or none does; nothing was written.
    Fenced,
    /// The task has ended otherwise; nothing was written.
    Ended(TaskState),
}

/// Outcome of a reap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReapOutcome {
    /// Tasks that were processed.
    pub done: Vec<Reaped>,
    /// Maximum time until the next reap, because something may be due then.
    pub again_in: Duration,
}

/// A task that a reaper processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaped {
    /// Its worker was lost; the run is offered again.
    Offered {
        /// The task.
        key: TaskKey,
        /// Agent whose workers are to be woken.
        agent: AgentName,
    },
    /// Its due time has come, or its concurrency key is free; it is runnable now.
    Due {
        /// The task.
        key: TaskKey,
        /// Agent whose workers are to be woken.
        agent: AgentName,
    },
    /// Its cancel was carried out: no worker holds it any longer, or its executor did not stop in
    /// time.
    Canceled {
        /// The task.
        key: TaskKey,
    },
    /// Failed: a time limit has passed, or the task has cost too many workers.
    Failed {
        /// The task.
        key: TaskKey,
        /// Kind of the failure.
        because: FailureKind,
    },
}

/// An API key as listed for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public id.
    pub id: KeyId,
    /// Its owner.
    pub owner: OwnerId,
    /// Name of the owner.
    pub owner_name: String,
    /// Label for people.
    pub label: String,
    /// Scopes that it grants.
    pub scopes: Scopes,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of revocation.
    pub revoked_at: Option<Timestamp>,
}
