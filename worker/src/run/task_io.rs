//! The worker's implementation of [`TaskIo`]: output and reads of one executor call.

use crate::{output::Output, run_signals::RunSignals};
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    BlobHash, Checkpoint, CheckpointName, ContextId, EntryBody, HistoryItem, Json, OwnerId, Seq,
    Task, TaskId, TaskKey,
};
use longhaul_executor::{OutputStopped, TaskIo, TaskIoError};
use longhaul_store::{
    HistoryQuery, ListQuery, ReadBudget, ReadLimit, SnapshotOptions, Store, StoreError,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Time between checks for client messages while no signal arrives.
const MESSAGE_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Most bytes of stored bodies in a task snapshot. The oldest messages are left out; a task that is
/// larger without any messages cannot be read.
const MAX_SNAPSHOT_BYTES: u64 = 64 << 20;

/// Most bytes of stored bodies of all other tasks of a context together.
const MAX_CONTEXT_BYTES: u64 = 8 << 20;

/// Messages in a page of older history.
const MAX_PAGE_MESSAGES: u32 = 200;

/// Bytes in a page of older history.
const MAX_PAGE_BYTES: u64 = 1 << 20;

/// Output and reads of one run.
pub struct RunTaskIo {
    pub store: Arc<dyn Store>,
    pub key: TaskKey,
    pub context: ContextId,
    pub signals: Arc<RunSignals>,
    pub output: Arc<Output>,
    /// The sequence number up to which the log was searched for client messages.
    pub searched_up_to: AtomicI64,
}

impl RunTaskIo {
    fn check_open(&self) -> Result<(), OutputStopped> {
        self.signals.output_stopped().map_or(Ok(()), Err)
    }

    /// Awaits a read; a stop of the run ends it.
    async fn read<T>(
        &self,
        call: impl Future<Output = longhaul_store::Result<T>>,
    ) -> Result<T, TaskIoError> {
        self.check_open()?;
        let _waiting = self.signals.store_wait();
        tokio::select! {
            answer = call => answer.map_err(|error| io_error(&error)),
            reason = self.signals.wait_stopped() => Err(reason.into()),
        }
    }

    /// Reads a task within the byte budget. A run sees its own output.
    async fn snapshot(
        &self,
        task: TaskId,
        options: SnapshotOptions,
    ) -> Result<Option<Task>, TaskIoError> {
        if task == self.key.task {
            self.output.flush().await?;
        }
        let key = TaskKey { owner: self.owner(), task };
        let options =
            SnapshotOptions { budget: ReadBudget::TrimHistory(MAX_SNAPSHOT_BYTES), ..options };
        self.read(self.store.read_task(key, options)).await
    }

    const fn owner(&self) -> OwnerId {
        self.key.owner
    }

    /// The client messages after `after`, from the first page of the log that has any.
    async fn new_messages(&self, after: Seq) -> longhaul_store::Result<Vec<HistoryItem>> {
        let mut found = Vec::new();
        let mut from = Seq(self.searched_up_to.load(Ordering::Acquire)).max(after);
        loop {
            let page = self.store.read_log(self.key, from, ReadLimit::default()).await?;
            let Some(last) = page.as_ref().and_then(|page| page.entries.last()) else { break };
            from = last.seq;
            for entry in page.into_iter().flat_map(|page| page.entries) {
                if let EntryBody::Message(user) = entry.body {
                    found.push(HistoryItem { seq: entry.seq, message: user.message });
                }
            }
            // Bounds the messages held at once: the next call continues from here.
            if !found.is_empty() {
                break;
            }
        }
        // The next search may skip only what holds no message.
        let searched = found.first().map_or(from, |item: &HistoryItem| Seq(item.seq.0 - 1));
        self.searched_up_to.fetch_max(searched.0, Ordering::AcqRel);
        Ok(found)
    }
}

#[async_trait]
impl TaskIo for RunTaskIo {
    async fn emit(&self, output: Vec<EntryBody>) -> Result<(), OutputStopped> {
        self.output.emit(output).await
    }

    async fn commit(
        &self,
        output: Vec<EntryBody>,
        checkpoint: Checkpoint,
    ) -> Result<(), OutputStopped> {
        self.output.commit(output, checkpoint).await
    }

    async fn read_checkpoint(&self, name: &CheckpointName) -> Result<Option<Json>, TaskIoError> {
        self.read(self.store.read_checkpoint(self.key, name)).await
    }

    fn progress(&self) {
        self.signals.progress();
    }

    async fn flush(&self) -> Result<(), OutputStopped> {
        self.output.flush().await
    }

    async fn read_blobs(
        &self,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>, TaskIoError> {
        self.read(self.store.read_blobs(self.owner(), hashes)).await
    }

    async fn read_task(&self, task: TaskId) -> Result<Option<Task>, TaskIoError> {
        self.snapshot(task, SnapshotOptions::ALL).await
    }

    async fn read_artifacts(&self, task: TaskId) -> Result<Option<Task>, TaskIoError> {
        self.snapshot(task, SnapshotOptions { history: 0, ..SnapshotOptions::ALL }).await
    }

    async fn messages_before(&self, before: Seq) -> Result<Vec<HistoryItem>, TaskIoError> {
        let query = HistoryQuery { before, rows: MAX_PAGE_MESSAGES, bytes: MAX_PAGE_BYTES };
        let page = self.read(self.store.read_history(self.key, query)).await?;
        let item = |(seq, body): (Seq, EntryBody)| {
            Some(HistoryItem { seq, message: body.message()?.clone() })
        };
        Ok(page.entries.into_iter().filter_map(item).collect())
    }

    async fn context_tasks(&self, limit: u32) -> Result<Vec<Task>, TaskIoError> {
        let query = ListQuery {
            owner: self.owner(),
            agent: None,
            context: Some(self.context.clone()),
            state: None,
            status_from: None,
            after: None,
            // One more than asked for, because this task is among them.
            page_size: limit.clamp(1, 99) + 1,
            options: SnapshotOptions {
                artifacts: false,
                budget: ReadBudget::TrimHistory(MAX_CONTEXT_BYTES),
                ..SnapshotOptions::ALL
            },
        };
        let mut tasks = self.read(self.store.list_tasks(query)).await?.tasks;
        tasks.retain(|task| task.key != self.key);
        tasks.truncate(limit as usize);
        Ok(tasks)
    }

    async fn messages_after(&self, after: Seq) -> Result<Vec<HistoryItem>, OutputStopped> {
        loop {
            self.check_open()?;
            match self.new_messages(after).await {
                Ok(messages) if !messages.is_empty() => {
                    self.signals.progress();
                    return Ok(messages);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "message check failed"),
            }
            tokio::select! {
                () = self.signals.message.notified() => {}
                () = tokio::time::sleep(MESSAGE_POLL_INTERVAL) => {}
                reason = self.signals.wait_stopped() => return Err(reason),
            }
        }
    }
}

fn io_error(error: &StoreError) -> TaskIoError {
    match error {
        StoreError::Corrupt { .. } => TaskIoError::Corrupt(error.to_string()),
        StoreError::TooLarge { .. } => TaskIoError::TooLarge(error.to_string()),
        StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Schema(_) => {
            TaskIoError::Unavailable(error.to_string())
        }
    }
}
