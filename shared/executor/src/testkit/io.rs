//! What an executor under test talks to.

use super::record::Record;
use crate::{OutputStopped, TaskIo, TaskIoError};
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    BlobHash, Checkpoint, CheckpointName, EntryBody, HistoryItem, Json, Message, Role, Seq, Task,
    TaskId, TaskState, blob::offload_to_blobs,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// When a run is cut off, by how many writes it has made or begun, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Before(usize),
    After(usize),
}

/// The part of a test that follows from how much the executor has emitted.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    pub stop_after: Option<(usize, OutputStopped)>,
    pub crash: Option<Crash>,
    /// Messages of the client, each with after how many events it comes; in ascending order.
    pub follow_ups: VecDeque<(usize, Message)>,
}

/// What other tasks and blobs there are.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub tasks: Vec<Task>,
    pub blobs: HashMap<BlobHash, Bytes>,
}

pub(super) struct TestIo {
    state: Mutex<State>,
    said_more: Notify,
    pub cancel: CancellationToken,
    /// The worker is dead: the executor is not to be polled any more.
    pub crashed: CancellationToken,
}

struct State {
    record: Record,
    world: World,
    script: Script,
    emitted: usize,
    counts: Counts,
    stopped: Option<OutputStopped>,
}

/// What a run has done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub writes: usize,
    pub heartbeats: usize,
}

impl TestIo {
    pub fn new(record: Record, world: World, script: Script) -> Arc<Self> {
        let counts = Counts::default();
        let state = State { record, world, script, emitted: 0, counts, stopped: None };
        let io = Self {
            state: Mutex::new(state),
            said_more: Notify::new(),
            cancel: CancellationToken::new(),
            crashed: CancellationToken::new(),
        };
        io.advance(&mut io.lock());
        Arc::new(io)
    }

    /// What is left when the run is over; nothing is taken from then on.
    pub fn end(&self) -> (Record, World, Counts) {
        let mut state = self.lock();
        state.stopped.get_or_insert(OutputStopped::LeaseLost);
        (state.record.clone(), state.world.clone(), state.counts)
    }

    /// Makes output and a checkpoint durable in one write, unless the worker dies before.
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
            let dies_before = crash == Some(Crash::Before(now));
            if !dies_before {
                state.keep(output, checkpoint);
                self.advance(&mut state);
            }
            let crashed = dies_before || crash == Some(Crash::After(now));
            if crashed {
                state.stopped = Some(OutputStopped::LeaseLost);
            }
            crashed
        };
        if crashed {
            self.crashed.cancel();
            // Nobody hears the answer of a dead worker.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the script says for this many events.
    fn advance(&self, state: &mut State) {
        while state.script.follow_ups.front().is_some_and(|(n, _)| *n <= state.emitted) {
            let Some((_, message)) = state.script.follow_ups.pop_front() else { break };
            state.record.hear_more(message);
            self.said_more.notify_waiters();
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

    fn keep(&mut self, output: Vec<EntryBody>, checkpoint: Option<Checkpoint>) {
        for mut body in output {
            let working = body.status().is_none_or(|change| change.state == TaskState::Working);
            assert!(working, "an executor emits no status but `working`; it ends with an outcome");
            assert!(body.is_event(), "an executor emits statuses and artifacts only");
            for blob in offload_to_blobs(body.blob_slots()) {
                self.world.blobs.insert(blob.hash, blob.bytes);
            }
            self.record.append(body);
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
        let found = |hash| Some((hash, state.world.blobs.get(&hash)?.clone()));
        Ok(hashes.into_iter().filter_map(found).collect())
    }

    async fn read_task(&self, task: TaskId) -> Result<Option<Task>, TaskIoError> {
        let state = self.lock();
        state.running()?;
        let mut tasks = std::iter::once(&state.record.task).chain(&state.world.tasks);
        Ok(tasks.find(|there| there.key.task == task).cloned())
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
        let tasks = state.world.tasks.iter().rev().filter(|task| task.context == *context);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(tasks.take(limit).map(|task| Task { artifacts: Vec::new(), ..task.clone() }).collect())
    }

    async fn messages_after(&self, after: Seq) -> Result<Vec<HistoryItem>, OutputStopped> {
        loop {
            let said_more = self.said_more.notified();
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
                () = said_more => {}
                () = self.cancel.cancelled() => {}
            }
        }
    }
}
