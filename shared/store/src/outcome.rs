//! What a store answers to a guarded write: what happened, by name.

use longhaul_domain::{
    AgentName, ContextId, FailureKind, Fence, KeyId, OwnerId, Scopes, Seq, TaskId, TaskKey,
    TaskState, Timestamp, log::UserMessage,
};
use std::time::Duration;
use uuid::Uuid;

/// What became of a message that asked for a new task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The task is durable.
    Created {
        /// When.
        at: Timestamp,
        /// Place of the message, which is the last entry.
        seq: Seq,
    },
    /// The same message came before; this is the task that it went to.
    Duplicate {
        /// That task.
        task: TaskId,
        /// Place of the message in its log.
        seq: Seq,
    },
    /// The idempotency key was used with other content.
    KeyReused,
}

/// What became of a message to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowedUp {
    /// The message is in the log.
    Appended {
        /// Its place.
        seq: Seq,
        /// The last entry now.
        last: Seq,
        /// Whether the task was parked and is to be run again.
        woken: bool,
    },
    /// The same message came before; this is its place, in the task given (another one, when the client sent it there).
    Duplicate {
        /// The task that it went to.
        task: TaskId,
        /// Its place there.
        seq: Seq,
    },
    /// The idempotency key was used with other content.
    KeyReused,
    /// The task has ended.
    Ended(TaskState),
    /// The messages of the task would be more, or larger, than [`TaskBudget`](crate::TaskBudget) allows.
    OverBudget,
    /// No such task.
    NotFound,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelRequested {
    /// Nobody was running it: it is canceled.
    Canceled {
        /// Place of the final status.
        seq: Seq,
    },
    /// Its executor was asked to stop.
    Asked {
        /// The last entry now.
        seq: Seq,
    },
    /// It had ended before.
    Ended(TaskState),
    /// No such task.
    NotFound,
}

/// A digest of the runs that a worker holds. Two that are equal stand for the same runs: tokens are random for each claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldDigest {
    /// How many there are.
    pub runs: u32,
    /// The first half of each token, combined by exclusive or.
    pub tokens: u64,
}

impl HeldDigest {
    /// The digest of runs with these tokens.
    pub fn from_tokens(tokens: impl IntoIterator<Item = Uuid>) -> Self {
        tokens.into_iter().fold(Self::default(), |digest, token| Self {
            runs: digest.runs.saturating_add(1),
            tokens: digest.tokens ^ token.as_u64_pair().0,
        })
    }
}

/// What became of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatReply {
    /// The lease is renewed.
    Renewed {
        /// Tasks of this worker that were asked to stop, again at each heartbeat until they have.
        cancels: Vec<TaskKey>,
        /// Which runs it holds, by the store's books.
        held: HeldDigest,
    },
    /// The worker is not known any more: its lease ran out and its runs were given away.
    Lost,
}

/// A run that was claimed: facts of bounded size. What was said is read for each run by itself, see
/// [`WorkerStore::read_history`](crate::Work::read_history).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRun {
    /// The task.
    pub key: TaskKey,
    /// Its agent.
    pub agent: AgentName,
    /// Its conversation.
    pub context: ContextId,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The right to write.
    pub fence: Fence,
    /// Which attempt this is, from 1; only failures count.
    pub attempt: i32,
    /// Which turn this is, from 1; a wake from a park begins the next one.
    pub turn: i32,
    /// Its state: `submitted` or, from an earlier attempt, `working`.
    pub state: TaskState,
    /// The last entry.
    pub last_seq: Seq,
    /// The client's last message.
    pub message_seq: Seq,
    /// The message of a task about which nothing else is in the log, where it takes at most
    /// [`MAX_OPENING_BYTES`](crate::OPENING_BYTES): most runs then need no further read.
    pub opening: Option<UserMessage>,
    /// Whether it was asked to stop meanwhile.
    pub cancel: bool,
    /// How long ago it became runnable.
    pub waited: Duration,
    /// W3C `traceparent` of the request that made it runnable.
    pub trace: Option<String>,
    /// By when the task must have ended.
    pub deadline: Option<Timestamp>,
    /// How long it has until then, by the store's clock at the claim; zero where it is late.
    pub deadline_in: Option<Duration>,
    /// Whether a run before this one has stored checkpoints.
    pub has_checkpoints: bool,
    /// How many workers in a row were lost while they ran it.
    pub losses: i32,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    Now {
        /// The last entry.
        last: Seq,
    },
    /// It had been written before.
    Already {
        /// The last entry.
        last: Seq,
    },
    /// The run belongs to somebody else, or to nobody; nothing was written.
    Fenced,
    /// The task has ended; nothing was written.
    Ended(TaskState),
}

/// What became of a settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is done as asked.
    Now {
        /// The last entry.
        last: Seq,
    },
    /// It had been done before.
    Already {
        /// The last entry.
        last: Seq,
    },
    /// The client has said something that the executor has not read: the final status was not written, everything else
    /// was, and the run is offered again.
    HandedBack {
        /// The last entry.
        last: Seq,
    },
    /// The run belongs to somebody else, or to nobody; nothing was written.
    Fenced,
    /// The task has ended otherwise; nothing was written.
    Ended(TaskState),
}

/// What a look for what is overdue came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReapOutcome {
    /// What was done.
    pub done: Vec<Reaped>,
    /// When to look again at the latest, for something may be due then.
    pub again_in: Duration,
}

/// What a reaper did to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaped {
    /// Its worker was lost; it is offered again.
    Offered {
        /// The task.
        key: TaskKey,
        /// Whose executor is to be woken.
        agent: AgentName,
    },
    /// Its time has come, or its concurrency key is free: it is runnable now.
    Due {
        /// The task.
        key: TaskKey,
        /// Whose executor is to be woken.
        agent: AgentName,
    },
    /// It was to be canceled, and nobody runs it any more or its executor did not stop in time: it is canceled.
    Canceled {
        /// The task.
        key: TaskKey,
    },
    /// A time limit has passed, or it has cost too many workers: it has failed.
    Failed {
        /// The task.
        key: TaskKey,
        /// Why.
        because: FailureKind,
    },
}

/// An API key, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public name.
    pub id: KeyId,
    /// Whose.
    pub owner: OwnerId,
    /// Name of the owner.
    pub owner_name: String,
    /// For people.
    pub label: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when not any more.
    pub revoked_at: Option<Timestamp>,
}
