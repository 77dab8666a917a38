//! What storage must do, without saying how.
//!
//! Methods are intents and each is atomic: after it answered, its whole effect is durable (but for [`WorkerStore::claim`] and
//! hints, which assign no place in a log and need not wait for the disk); when the process dies in the middle, none
//! of it is. No transaction, row or SQL type crosses this seam. A guarded write answers with an outcome that names
//! what happened, and a repeated write is recognised, so that a caller who lost the answer may ask again.
//!
//! Times are the store's: whoever keeps the data has the clock.

pub mod batcher;
mod command;
#[cfg(feature = "conformance")]
#[expect(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "these are tests: the name of a case says what it checks, and it fails by panicking"
)]
pub mod conformance;
mod error;
#[cfg(feature = "conformance")]
mod model;
mod operate;
mod outcome;
mod output;
mod query;
mod schedule;
mod signal;
mod verdict;

pub use command::{
    AcceptFollowUp, AcceptNew, AgentSlots, Append, ClaimRequest, DedupeKey, IncomingMessage,
    NewKey, NewWorker, ReapRequest, RequestCancel, RunOptions, Settle, SettleAs, TaskBudget,
    TaskUsage,
};
pub use error::StoreError;
pub use operate::{
    DeadLetter, DeadLetterQuery, DeadLetterResolution, QueuePosition, QueueRecord, Redrive,
    RedriveOutcome, RunDetails, WorkerRecord,
};
pub use outcome::{
    Accepted, Appended, CancelRequested, ClaimedRun, FollowedUp, HeartbeatReply, HeldDigest,
    KeyRecord, ReapOutcome, Reaped, Settled,
};
pub use output::check_output;
pub use query::{
    HistoryPage, HistoryQuery, ListCursor, ListQuery, LogPage, MAX_OPENING_BYTES, ReadBudget,
    ReadLimit, SnapshotOptions, TaskPage,
};
pub use schedule::{DueSchedules, FireOutcome, FireSchedule, MissedRuns, Schedule, SchedulePlan};
pub use signal::{ControlSignal, LogSignal, SignalStream};
pub use verdict::{PoisonDecision, is_suspect, verdict};

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, BlobHash, CheckpointName, Fence, Json, KeyId, OwnerId, Principal,
    Seq, Task, TaskId, TaskKey, WorkerId,
};
use std::{collections::HashMap, time::Duration};

/// Result of a call to a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What API nodes write.
#[async_trait]
pub trait IntakeStore: Send + Sync {
    /// Creates a task from its first message. A message with a dedupe key that is known attaches to the task it made.
    async fn accept_new(&self, accept: AcceptNew) -> Result<Accepted>;

    /// Appends a client's message to a task that has not ended, and wakes it if it is parked: then the state becomes
    /// `submitted` in the same step, so that nobody takes the old question for a new one.
    async fn accept_follow_up(&self, accept: AcceptFollowUp) -> Result<FollowedUp>;

    /// Cancels a task: at once when no executor runs it, otherwise by asking the executor, until a deadline after which
    /// [`WorkerStore::reap`] ends it by force.
    async fn request_cancel(&self, cancel: RequestCancel) -> Result<CancelRequested>;
}

/// What is read. Every read is scoped by owner; what belongs to others is not there.
#[async_trait]
pub trait ReadStore: Send + Sync {
    /// A snapshot of a task and its place in the log, from one view of the data; [`StoreError::TooLarge`] where it does not fit
    /// into the room of the options.
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>>;

    /// Entries after a place, in order, up to a limit of rows and bytes but at least one. `None`: no such task.
    async fn read_log(&self, key: TaskKey, after: Seq, limit: ReadLimit)
    -> Result<Option<LogPage>>;

    /// The same for many tasks at once: those that have entries after the given place, each up to the limit.
    async fn read_logs(
        &self,
        cursors: Vec<(TaskKey, Seq)>,
        limit: ReadLimit,
    ) -> Result<Vec<(TaskKey, LogPage)>>;

    /// One page of an owner's tasks, newest status first.
    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage>;

    /// Large contents. A hash that the owner does not have is left out.
    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>>;

    /// Which agent does a task; `None`: no such task.
    async fn agent_of(&self, owner: OwnerId, task: TaskId) -> Result<Option<AgentName>>;

    /// How tasks are run. Those that do not exist are left out.
    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>>;

    /// How many tasks of an agent wait to be run, runnable or not, of one owner or of all; counted up to `limit` only.
    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32>;
}

/// What workers do.
#[async_trait]
pub trait WorkerStore: Send + Sync {
    /// Makes a worker known and gives it its first lease. From now on the store notices by itself when the process ends,
    /// where it can: a worker that is gone, and does not come back within a second, counts as dead before its lease is over.
    async fn register_worker(&self, worker: NewWorker) -> Result<()>;

    /// Renews the lease of a worker by `lease` from now.
    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply>;

    /// What a worker holds by the store's books, so that it can give back what it does not know of.
    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>>;

    /// Takes a worker off; runs that it still holds are offered again without counting an attempt.
    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>>;

    /// One page of what was said, for a run that is under way. Large contents are by reference.
    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage>;

    /// Takes the next runnable runs in fair order, at most as many per agent as it has free slots and as the agent's limits
    /// allow. Owners take turns; of one owner the highest priority goes first, then what has been due longest. Raises the
    /// epoch of each run and gives it a new token.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>>;

    /// Appends output of a run. The same operation number again, or a lower one, answers [`Appended::Already`]: a run has one
    /// write under way at a time.
    async fn append(&self, append: Append) -> Result<Appended>;

    /// What a run before this one has stored under a name.
    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>>;

    /// Ends a run: the task ends, parks, waits for its next attempt, or is given back.
    async fn settle(&self, settle: Settle) -> Result<Settled>;

    /// Does what is overdue: offers the runs of lost workers again, makes runnable what has become due, cancels by force
    /// where a cancel deadline has passed, and fails what a time limit or its losses have ended. Any number of reapers may
    /// run at once; a look at which there is nothing to do costs one query.
    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome>;
}

/// What operators do.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Dead letters, the latest first.
    async fn dead(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>>;
    /// One dead letter, whatever became of it.
    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>>;
    /// Begins the work of a dead task again; of two who try at once, one does.
    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome>;
    /// Takes a dead letter off the list; `false`: it is not on it.
    async fn dismiss(&self, key: TaskKey) -> Result<bool>;
    /// What waits and what runs, by agent.
    async fn queues(&self) -> Result<Vec<QueueRecord>>;
    /// Every worker that is known.
    async fn workers(&self) -> Result<Vec<WorkerRecord>>;
}

/// Tasks that are made by the clock.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// Creates a schedule or changes the one of that name; its revision is made here, and what it made last stays. `true`:
    /// there was none.
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool>;
    /// One schedule.
    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>>;
    /// The schedules of an owner, or of all, by owner and name.
    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>>;
    /// Deletes a schedule, not its tasks; `false`: there is none.
    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool>;
    /// What is due, and when to look again.
    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules>;
    /// Fires: makes the task and sets the next time in one step, unless somebody else was first. Of any number of nodes
    /// that try, one does.
    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome>;
}

/// Which agents there are.
#[async_trait]
pub trait AgentRegistry: Send + Sync {
    /// Registers agents. One with a lower version than the registered one changes nothing.
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()>;
    /// Every registered agent, by name.
    async fn agents(&self) -> Result<Vec<AgentDescriptor>>;
}

/// Owners and their keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Creates a key, and its owner where there is none of that name.
    async fn create_key(&self, key: NewKey) -> Result<OwnerId>;
    /// Who shows the key with this SHA-256 hash; `None` where it is unknown or revoked.
    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>>;
    /// Every key, of one owner or of all.
    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>>;
    /// Revokes a key; `false`: no such key, or revoked already.
    async fn revoke_key(&self, id: &KeyId) -> Result<bool>;
}

/// Hints that something changed. They may be lost; whoever must not miss anything reads the store from time to time.
#[async_trait]
pub trait SignalSource: Send + Sync {
    /// Asks for the log signals of these tasks, from any process, for the next minutes: to be repeated at least every minute while
    /// they are followed. Signals sent before the store listens are made up for by [`LogSignal::Joined`]. Never waits.
    fn follow_logs(&self, tasks: &[TaskKey]);
    /// Tasks whose log has grown: those that were asked for, and perhaps others.
    async fn log_signals(&self) -> Result<SignalStream<LogSignal>>;
    /// What workers should look at: a cancel or a message for a running task, and what was announced.
    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>>;
    /// Tells workers everywhere that an agent has something to run, where no broker does. Never waits.
    fn announce(&self, agent: &AgentName, task: TaskKey);
}

/// A store: everything that API nodes and workers need of it.
#[async_trait]
pub trait Store:
    IntakeStore
    + ReadStore
    + WorkerStore
    + OperatorStore
    + ScheduleStore
    + AgentRegistry
    + KeyStore
    + SignalSource
{
    /// Whether the store answers and has the schema that this program needs.
    async fn check(&self) -> Result<()>;
    /// Stops background work, after what was begun.
    async fn close(&self);
}
