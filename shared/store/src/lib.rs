//! The contract of a store: traits, commands, outcomes, errors and the rules that all stores share.
//!
//! Methods are intents, and each is atomic. When a call returns, its whole effect is durable; if
//! the process dies in the middle, nothing of it is done. [`WorkerStore::claim`] and hints are
//! exempt: they assign no place in a log and need not wait for the disk. No transaction, row or SQL
//! type crosses this seam. A guarded write answers with an outcome that names what happened. A
//! repeated write is recognised, so a caller that lost the answer may retry.
//!
//! All times are the store's: the data's home has the clock.

pub mod batcher;
mod command;
mod error;
mod operate;
mod outcome;
mod output;
mod poison;
mod query;
mod schedule;
mod signal;

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
    KeyRecord, MessageLookup, ReapOutcome, Reaped, Settled,
};
pub use output::check_output;
pub use poison::{PoisonDecision, decide_poison, is_suspect};
pub use query::{
    HistoryPage, HistoryQuery, ListCursor, ListQuery, LogPage, MAX_OPENING_BYTES, ReadBudget,
    ReadLimit, SnapshotOptions, TaskPage,
};
pub use schedule::{DueSchedules, FireOutcome, FireSchedule, MissedRuns, Schedule, SchedulePlan};
pub use signal::{ControlSignal, LogSignal, SignalStream};

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, BlobHash, CheckpointName, Fence, Json, KeyId, OwnerId, Principal,
    Seq, Task, TaskKey, WorkerId,
};
use std::{collections::HashMap, time::Duration};

/// Result of a call to a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Writes of API nodes.
#[async_trait]
pub trait IntakeStore: Send + Sync {
    /// Creates a task from its first message. A message whose deduplication key is known attaches
    /// to the task that it created.
    async fn accept_new(&self, accept: AcceptNew) -> Result<Accepted>;

    /// Appends a client's message to a task that has not ended. A parked task wakes: its state
    /// becomes `submitted` in the same step, so that the old question is not taken for a new one.
    async fn accept_follow_up(&self, accept: AcceptFollowUp) -> Result<FollowedUp>;

    /// Looks up a message of an owner by its deduplication key; writes nothing. A message that is
    /// being accepted at the moment may be unknown.
    async fn find_message(&self, owner: OwnerId, dedupe: DedupeKey) -> Result<MessageLookup>;

    /// Cancels a task. A task that no executor runs is canceled at once; otherwise the executor is
    /// asked to stop, and after the deadline [`WorkerStore::reap`] cancels by force.
    async fn request_cancel(&self, cancel: RequestCancel) -> Result<CancelRequested>;
}

/// Reads. Each is scoped by owner: tasks of other owners do not exist.
#[async_trait]
pub trait ReadStore: Send + Sync {
    /// Reads a snapshot of a task and its last entry's number from one view of the data. Fails with
    /// [`StoreError::TooLarge`] if the snapshot exceeds the budget of the options.
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>>;

    /// Reads entries after a position, in order, up to a limit of rows and bytes but at least one.
    /// `None`: no such task.
    async fn read_log(&self, key: TaskKey, after: Seq, limit: ReadLimit)
    -> Result<Option<LogPage>>;

    /// Reads the logs of many tasks, each up to the limit. Tasks without entries after their
    /// position are left out.
    async fn read_logs(
        &self,
        cursors: Vec<(TaskKey, Seq)>,
        limit: ReadLimit,
    ) -> Result<Vec<(TaskKey, LogPage)>>;

    /// Reads one page of an owner's tasks, newest status first.
    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage>;

    /// Reads large contents. Hashes that the owner does not have are left out.
    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>>;

    /// Reads the run details of tasks. Tasks that do not exist are left out.
    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>>;

    /// Counts the queued tasks of an agent, runnable or not, for one owner or for all. Stops
    /// counting at `limit`.
    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32>;
}

/// Operations of workers.
#[async_trait]
pub trait WorkerStore: Send + Sync {
    /// Registers a worker and grants its first lease. From now on the store notices the end of the
    /// process by itself, where it can: a worker that is gone and does not return within a second
    /// counts as dead before its lease ends.
    async fn register_worker(&self, worker: NewWorker) -> Result<()>;

    /// Renews the lease of a worker to `lease` from now.
    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply>;

    /// Lists the runs that the store believes a worker to hold, so that the worker can release
    /// those that it does not know.
    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>>;

    /// Removes a worker. Runs that it still holds are offered again without counting an attempt.
    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>>;

    /// Reads one page of the messages of a task, for a run in progress. Large contents are by
    /// reference.
    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage>;

    /// Claims the next runnable runs in fair order, within the free slots and limits of each agent.
    /// Owners take turns; within an owner the order is priority, then due time. Raises the epoch of
    /// each run and gives it a new token.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>>;

    /// Appends output of a run. An operation number that is not above the last one answers
    /// [`Appended::Already`], because a run has only one write in flight.
    async fn append(&self, append: Append) -> Result<Appended>;

    /// Reads a checkpoint of an earlier run of the task.
    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>>;

    /// Ends a run: the task ends, parks, waits for its next attempt, or is released.
    async fn settle(&self, settle: Settle) -> Result<Settled>;

    /// Processes overdue tasks. It offers the runs of lost workers again and makes due runs
    /// runnable. It cancels by force after a cancel deadline, and fails tasks past a time limit or
    /// with too many losses. Any number of reapers may run at once. A pass that finds nothing costs
    /// one query.
    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome>;
}

/// Operations of operators.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Lists dead letters, newest first.
    async fn list_dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>>;
    /// Reads one dead letter, resolved or not.
    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>>;
    /// Starts the work of a dead task again as a new task. Of two concurrent calls, one succeeds.
    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome>;
    /// Dismisses a dead letter; `false`: it is not open.
    async fn dismiss(&self, key: TaskKey) -> Result<bool>;
    /// Lists queue lengths and running tasks by agent.
    async fn queues(&self) -> Result<Vec<QueueRecord>>;
    /// Lists all known workers.
    async fn workers(&self) -> Result<Vec<WorkerRecord>>;
}

/// Schedules: tasks that are created by the clock.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// Creates a schedule or changes the one of that name. The store sets its revision and keeps
    /// the last task that it created. `true`: the schedule is new.
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool>;
    /// Reads one schedule.
    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>>;
    /// Lists the schedules of one owner, or of all, by owner and name.
    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>>;
    /// Deletes a schedule but not its tasks; `false`: no such schedule.
    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool>;
    /// Lists schedules that are due, and says when the next one is.
    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules>;
    /// Fires a schedule: creates the task and sets the next time in one step. Of any number of
    /// nodes that try, one succeeds.
    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome>;
}

/// The registered agents.
#[async_trait]
pub trait AgentRegistry: Send + Sync {
    /// Registers agents. A version below the registered one changes nothing.
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()>;
    /// Lists all registered agents, by name.
    async fn agents(&self) -> Result<Vec<AgentDescriptor>>;
}

/// Owners and their API keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Creates a key, and its owner if there is none of that name.
    async fn create_key(&self, key: NewKey) -> Result<OwnerId>;
    /// Returns the principal whose key has this SHA-256 hash; `None`: unknown or revoked.
    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>>;
    /// Lists the keys of one owner, or of all.
    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>>;
    /// Revokes a key; `false`: no such key, or revoked before.
    async fn revoke_key(&self, id: &KeyId) -> Result<bool>;
}

/// Hints about changes. Hints may be lost, so a reader that must not miss a change also polls.
#[async_trait]
pub trait SignalSource: Send + Sync {
    /// Subscribes to the log signals of these tasks, from any process, for some minutes; repeat it
    /// at least once a minute. [`LogSignal::Joined`] covers signals that were sent before the store
    /// listened. Never waits.
    fn follow_logs(&self, tasks: &[TaskKey]);
    /// Streams tasks whose log has grown: the subscribed ones, and perhaps others.
    async fn log_signals(&self) -> Result<SignalStream<LogSignal>>;
    /// Streams signals for workers: cancels and messages for running tasks, and announced runs.
    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>>;
    /// Announces to all workers that an agent has a runnable task, where no broker does. Never
    /// waits.
    fn announce(&self, agent: &AgentName, task: TaskKey);
}

/// A complete store for API nodes and workers.
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
    /// Checks that the store answers and has the schema that this program needs.
    async fn check(&self) -> Result<()>;
    /// Finishes the calls in progress and stops background work.
    async fn close(&self);
}
