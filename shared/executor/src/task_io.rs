//! The interface between an executor and its host: the worker, or the test kit.

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    BlobHash, Checkpoint, CheckpointName, EntryBody, HistoryItem, Json, Seq, Task, TaskId,
};
use std::collections::HashMap;

/// The reason why a run takes no more output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OutputStopped {
    /// The client canceled the task.
    #[error("the task was canceled")]
    Canceled,
    /// The run exceeded its time limit or the task's deadline.
    #[error("the time of the run is over")]
    TimedOut,
    /// The worker may no longer write to the task; another worker may already run it.
    #[error("the worker lost its lease on the task")]
    LeaseLost,
    /// The worker shuts down; the task runs again elsewhere.
    #[error("the worker shuts down")]
    Draining,
    /// The run was interrupted for a reason unrelated to its task. The task runs again, and no
    /// attempt is counted.
    #[error("the run was interrupted")]
    Interrupted,
    /// The executor cannot work on this worker now. The task waits until it can, or runs elsewhere;
    /// no attempt is counted.
    #[error("the executor cannot work on this worker now")]
    Unavailable,
}

impl OutputStopped {
    /// The name in kebab case, such as `lease-lost`.
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

/// A failed read.
#[derive(Debug, thiserror::Error)]
pub enum TaskIoError {
    /// The run is over.
    #[error("{0}")]
    Stopped(#[from] OutputStopped),
    /// The store cannot answer now. A later read may succeed.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The stored data is damaged.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// The stored data is larger than a run may hold at once.
    #[error("stored data is too large to be read at once: {0}")]
    TooLarge(String),
}

/// The operations of a run on its task. The worker and the test kit implement it; executors use
/// [`TaskContext`](crate::TaskContext).
///
/// # Errors
/// Every call of a stopped run fails at once with [`OutputStopped`]. Reads fail with
/// [`TaskIoError`] when the store is not available, or holds data that is damaged or too large.
#[async_trait]
#[allow(clippy::missing_errors_doc, reason = "the errors of all methods stand above")]
pub trait TaskIo: Send + Sync + 'static {
    /// Puts output into a bounded buffer, and waits while the buffer is full. The order is kept;
    /// entries of one call stay together.
    async fn emit(&self, output: Vec<EntryBody>) -> Result<(), OutputStopped>;
    /// Waits until everything emitted so far is durable.
    async fn flush(&self) -> Result<(), OutputStopped>;
    /// Writes everything emitted so far, then this output and the checkpoint atomically. Returns
    /// once all of it is durable.
    async fn commit(
        &self,
        output: Vec<EntryBody>,
        checkpoint: Checkpoint,
    ) -> Result<(), OutputStopped>;
    /// Reads the value stored under a name, by this run or an earlier one.
    async fn read_checkpoint(&self, name: &CheckpointName) -> Result<Option<Json>, TaskIoError>;
    /// Restarts the run's no-progress timer without output.
    fn progress(&self);
    /// Reads large contents of the task's owner. Contents that do not exist are missing in the
    /// result.
    async fn read_blobs(
        &self,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>, TaskIoError>;
    /// Reads a task of the same owner. `None` when there is none.
    async fn read_task(&self, task: TaskId) -> Result<Option<Task>, TaskIoError>;
    /// Reads a task of the same owner without its messages. `None` when there is none.
    async fn read_artifacts(&self, task: TaskId) -> Result<Option<Task>, TaskIoError>;
    /// Reads messages of both sides before a position, in the order of the log: the newest that fit
    /// into one read, and at least one if there is any.
    async fn messages_before(&self, before: Seq) -> Result<Vec<HistoryItem>, TaskIoError>;
    /// Reads earlier tasks of the same context, newest first, without artifacts and without this
    /// task.
    async fn context_tasks(&self, limit: u32) -> Result<Vec<Task>, TaskIoError>;
    /// Waits for messages of the client after a position, and returns the first of them or all.
    /// Cancel safe.
    async fn messages_after(&self, after: Seq) -> Result<Vec<HistoryItem>, OutputStopped>;
}
