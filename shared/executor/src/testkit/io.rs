//! The host of an executor under test.
//!
//! Every write counts, so that a run can be cut off before or after any of them.

use super::record::TaskRecord;
use crate::{OutputStopped, TaskIo, TaskIoError};
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    BlobHash, Checkpoint, CheckpointName, EntryBody, HistoryItem, Json, Message, Role, Seq, Task,
    TaskId, TaskState, offload::offload_to_blobs,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The write at which the worker dies, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CrashPoint {
    Before(usize),
    After(usize),
}

/// Events of a test that depend on the number of emitted events.
#[derive(Debug, Clone, Default)]
pub(super) struct RunScript {
    pub stop_after: Option<(usize, OutputStopped)>,
    pub crash: Option<CrashPoint>,
    /// Messages of the client, each with the number of events after which it arrives, ascending.
    pub follow_ups: VecDeque<(usize, Message)>,
}

/// Other tasks of the owner, and blobs.
#[derive(Debug, Clone, Default)]
pub(super) struct OtherData {
    pub tasks: Vec<Task>,
    pub blobs: HashMap<BlobHash, Bytes>,
}

pub(super) struct TestIo {
    state: Mutex<State>,
    new_message: Notify,
    pub cancel: CancellationToken,
    /// The worker is dead: the executor must not be polled again.
    pub crashed: CancellationToken,
}

struct State {
    record: TaskRecord,
    other: OtherData,
    script: RunScript,
    emitted: usize,
    counts: RunCounts,
    stopped: Option<OutputStopped>,
}

/// Counters of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunCounts {
    pub writes: usize,
    pub heartbeats: usize,
}

impl TestIo {
    pub fn new(record: TaskRecord, other: OtherData, script: RunScript) -> Arc<Self> {
        let counts = RunCounts::default();
        let state = State { record, other, script, emitted: 0, counts, stopped: None };
        let io = Self {
            state: Mutex::new(state),
            new_message: Notify::new(),
            cancel: CancellationToken::new(),
            crashed: CancellationToken::new(),
        };
        io.advance(&mut io.lock());
        Arc::new(io)
    }

    /// Ends the run, and returns its data. All later output is refused.
    pub fn end(&self) -> (TaskRecord, OtherData, RunCounts) {
        let mut state = self.lock();
        state.stopped.get_or_insert(OutputStopped::LeaseLost);
        (state.record.clone(), state.other.clone(), state.counts)
    }

    /// Makes output and a checkpoint durable in one write, unless the worker dies first.
    async fn write(
        &self,
        output: Vec<EntryBody>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), OutputStopped> {
        let crashed = {
            let mut state = self.lock();
            state.running()?;
            state.counts.writes += 1;
            let (now, crash) = (state.counts.writes, state.script.crash);
            // Writes count from 1, the one that the worker dies in included.
            let dies_before = crash == Some(CrashPoint::Before(now));
            if !dies_before {
                state.store(output, checkpoint);
                self.advance(&mut state);
            }
            let crashed = dies_before || crash == Some(CrashPoint::After(now));
            if crashed {
                state.stopped = Some(OutputStopped::LeaseLost);
            }
            crashed
        };
        if crashed {
            self.crashed.cancel();
            // A dead worker gets no answer.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the script for the current number of events.
    fn advance(&self, state: &mut State) {
        // Ascending by event count, so the first one that is not due ends the loop.
        while state.script.follow_ups.front().is_some_and(|(n, _)| *n <= state.emitted) {
            let Some((_, message)) = state.script.follow_ups.pop_front() else { break };
            state.record.add_later_message(message);
            self.new_message.notify_waiters();
        }
        if let Some((n, reason)) = state.script.stop_after
            && n <= state.emitted
            && state.stopped.is_none()
        {
            state.stopped = Some(reason);
            self.cancel.cancel();
        }
    }
}

impl State {
    fn running(&self) -> Result<(), OutputStopped> {
        self.stopped.map_or(Ok(()), Err)
    }

    fn store(&mut self, output: Vec<EntryBody>, checkpoint: Option<Checkpoint>) {
        for mut body in output {
            let working = body.status().is_none_or(|change| change.state == TaskState::Working);
            assert!(working, "an executor emits no status but `working`; it ends with an outcome");
            assert!(body.is_event(), "an executor emits statuses and artifacts only");
            for blob in offload_to_blobs(body.blob_slots()) {
                self.other.blobs.insert(blob.hash, blob.bytes);
            }
            self.record.append(body);
            // Only events advance the script: checkpoints do not.
            self.emitted += 1;
        }
        self.record.checkpoints.extend(checkpoint.map(|kept| (kept.name, kept.value)));
    }
}

#[async_trait]
impl TaskIo for TestIo {
    async fn emit(&self, output: Vec<EntryBody>) -> Result<(), OutputStopped> {
        self.write(output, None).await
    }

    async fn commit(
        &self,
        output: Vec<EntryBody>,
        checkpoint: Checkpoint,
    ) -> Result<(), OutputStopped> {
        self.write(output, Some(checkpoint)).await
    }

    async fn read_checkpoint(&self, name: &CheckpointName) -> Result<Option<Json>, TaskIoError> {
        let state = self.lock();
        state.running()?;
        Ok(state.record.checkpoints.get(name).cloned())
    }

    fn progress(&self) {
        self.lock().counts.heartbeats += 1;
    }

    async fn flush(&self) -> Result<(), OutputStopped> {
        self.lock().running()
    }

    async fn read_blobs(
        &self,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>, TaskIoError> {
        let state = self.lock();
        state.running()?;
        let found = |hash| Some((hash, state.other.blobs.get(&hash)?.clone()));
        Ok(hashes.into_iter().filter_map(found).collect())
    }

    async fn read_task(&self, task: TaskId) -> Result<Option<Task>, TaskIoError> {
        let state = self.lock();
        state.running()?;
        let mut tasks = std::iter::once(&state.record.task).chain(&state.other.tasks);
        Ok(tasks.find(|task_of_owner| task_of_owner.key.task == task).cloned())
    }

    async fn read_artifacts(&self, task: TaskId) -> Result<Option<Task>, TaskIoError> {
        let task = self.read_task(task).await?;
        Ok(task.map(|task| Task { history: Vec::new(), ..task }))
    }

    async fn messages_before(&self, before: Seq) -> Result<Vec<HistoryItem>, TaskIoError> {
        let state = self.lock();
        state.running()?;
        Ok(state.record.history().into_iter().filter(|item| item.seq < before).collect())
    }

    async fn context_tasks(&self, limit: u32) -> Result<Vec<Task>, TaskIoError> {
        let state = self.lock();
        state.running()?;
        let context = &state.record.task.context;
        let tasks = state.other.tasks.iter().rev().filter(|task| task.context == *context);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(tasks.take(limit).map(|task| Task { artifacts: Vec::new(), ..task.clone() }).collect())
    }

    async fn messages_after(&self, after: Seq) -> Result<Vec<HistoryItem>, OutputStopped> {
        loop {
            // Registered before the look at the record, so that a message in between is not missed.
            let new_message = self.new_message.notified();
            {
                let state = self.lock();
                state.running()?;
                let new = |item: &&HistoryItem| item.seq > after && item.message.role == Role::User;
                let items: Vec<HistoryItem> =
                    state.record.task.history.iter().filter(new).cloned().collect();
                if !items.is_empty() {
                    return Ok(items);
                }
            }
            tokio::select! {
                () = new_message => {}
                () = self.cancel.cancelled() => {}
            }
        }
    }
}
