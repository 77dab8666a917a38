//! The seam between an executor and whoever runs it: the worker, or the testkit.

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    BlobHash, Checkpoint, CheckpointName, EntryBody, HistoryItem, Json, Seq, Task, TaskId,
};
use std::collections::HashMap;

/// Why no output is taken any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OutputStopped {
    /// The client called the task off.
    #[error("the task was canceled")]
    Canceled,
    /// The run took longer than its policy or the task's deadline allows.
    #[error("the time of the run is over")]
    TimedOut,
    /// The worker may not write to the task any more; another one may be at it already.
    #[error("the worker lost its lease on the task")]
    LeaseLost,
    /// The worker shuts down; the task runs again elsewhere.
    #[error("the worker shuts down")]
    Draining,
    /// Something ended the run that was not about its task. The task runs again; no attempt is counted.
    #[error("the run was interrupted")]
    Interrupted,
    /// The executor cannot work on this worker now. The task waits until it can, or runs elsewhere; no attempt is
    /// counted.
    #[error("the executor cannot work on this worker now")]
    Unavailable,
}

impl OutputStopped {
    /// Its name, as in `lease-lost`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::TimedOut => "timed-out",
            Self::LeaseLost => "lease-lost",
            Self::Draining => "draining",
            Self::Interrupted => "interrupted",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TaskIoError {
    /// The run is over.
    #[error("{0}")]
    Stopped(#[from] OutputStopped),
    /// The store cannot answer now; trying later may help.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is stored is not what it should be.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// What is stored is larger than a run may hold at once.
    #[error("stored data is too large to be read at once: {0}")]
    TooLarge(String),
}

/// What a run can do to its task. Implemented by the worker and by the testkit; executors use
/// [`TaskContext`](crate::TaskContext). Every call of a stopped run answers [`OutputStopped`] at once.
#[async_trait]
pub trait TaskIo: Send + Sync + 'static {
    /// Puts output into a bounded buffer and waits while that is full. The order is kept; entries of one call stay together.
    async fn emit(&self, output: Vec<EntryBody>) -> Result<(), OutputStopped>;
    /// Waits until everything emitted so far is durable.
    async fn flush(&self) -> Result<(), OutputStopped>;
    /// Writes what was emitted so far, then this output and the checkpoint in one step, and waits until all of it is
    /// durable.
    async fn commit(
        &self,
        output: Vec<EntryBody>,
        checkpoint: Checkpoint,
    ) -> Result<(), OutputStopped>;
    /// What is stored under a name, by this run or one before it.
    async fn read_checkpoint(&self, name: &CheckpointName) -> Result<Option<Json>, TaskIoError>;
    /// The executor is getting on, though it has nothing to say: the run's no-progress time begins anew.
    fn progress(&self);
    /// Reads large contents of the task's owner. Those that do not exist are missing in the answer.
    async fn read_blobs(
        &self,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>, TaskIoError>;
    /// Reads a task of the same owner; nothing when there is none.
    async fn read_task(&self, task: TaskId) -> Result<Option<Task>, TaskIoError>;
    /// A task of the same owner without its messages; nothing when there is none.
    async fn read_artifacts(&self, task: TaskId) -> Result<Option<Task>, TaskIoError>;
    /// Messages of both sides before a place, in the order of the log: the newest that fit into one read, at least one where there
    /// is one.
    async fn messages_before(&self, before: Seq) -> Result<Vec<HistoryItem>, TaskIoError>;
    /// Earlier tasks of the same context, newest first, without artifacts, without this one.
    async fn context_tasks(&self, limit: u32) -> Result<Vec<Task>, TaskIoError>;
    /// Messages of the client behind a place, the first of them or all; waits until there is one. May be called again when it was
    /// abandoned.
    async fn messages_after(&self, after: Seq) -> Result<Vec<HistoryItem>, OutputStopped>;
}
