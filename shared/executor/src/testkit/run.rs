//! Setting up a run.

use super::{
    TestReport, TestRunEnd,
    io::{Crash, Script, TestIo, World},
    record::Record,
};
use crate::{Assignment, Executor, Outcome, OutputStopped, TaskContext};
use futures::FutureExt;
use longhaul_domain::{
    CheckpointName, Json, JsonObject, Message, Part, Task, TaskState, Timestamp,
    blob::offload_to_blobs,
};
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use uuid::Uuid;

/// A run to be: says what the client sent and what happens meanwhile, then [`run`](Self::run).
#[must_use = "nothing happens before run()"]
pub struct TestRun {
    executor: Arc<dyn Executor>,
    pub(super) record: Record,
    pub(super) world: World,
    pub(super) script: Script,
    pub(super) state_before: TaskState,
    max_attempts: i32,
    deadline: Option<Timestamp>,
    request_metadata: Option<JsonObject>,
    history_limit: Option<usize>,
}

impl TestRun {
    /// The first run of a task.
    pub fn new(executor: impl Executor) -> Self {
        Self::from_shared(Arc::new(executor))
    }

    /// The first run of a task by an executor that is used elsewhere too.
    pub fn from_shared(executor: Arc<dyn Executor>) -> Self {
        Self::again(executor, Record::new(), World::default())
    }

    pub(super) fn again(executor: Arc<dyn Executor>, record: Record, world: World) -> Self {
        Self {
            executor,
            state_before: record.task.status.state,
            record,
            world,
            script: Script::default(),
            max_attempts: 3,
            deadline: None,
            request_metadata: None,
            history_limit: None,
        }
    }

    /// The client says this.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.parts(vec![Part::text(text)])
    }

    /// The client sends these parts.
    pub fn parts(self, parts: Vec<Part>) -> Self {
        let message = self.record.message(parts);
        self.message(message)
    }

    /// The client sends this message. Large parts are kept apart, as a worker would find them.
    pub fn message(mut self, mut message: Message) -> Self {
        for blob in offload_to_blobs(message.blob_slots()) {
            self.world.blobs.insert(blob.hash, blob.bytes);
        }
        self.record.hear(message);
        self
    }

    /// Metadata of the client's request.
    pub fn request_metadata(mut self, metadata: JsonObject) -> Self {
        self.request_metadata = Some(metadata);
        self
    }

    /// The run begins with so many messages only; older ones are read by
    /// [`TaskContext::earlier_messages`](crate::TaskContext::earlier_messages).
    pub const fn history_limit(mut self, messages: usize) -> Self {
        self.history_limit = Some(messages);
        self
    }

    /// Media types that the client can take in answer; they hold until it says more.
    pub fn accepted_output_modes(mut self, modes: &[&str]) -> Self {
        self.record.accepted_output_modes = modes.iter().map(ToString::to_string).collect();
        self
    }

    /// Which attempt this is.
    pub const fn attempt(mut self, attempt: i32) -> Self {
        self.record.attempt = attempt;
        if attempt > 1 {
            self.state_before = TaskState::Working;
        }
        self
    }

    /// How many attempts there may be.
    pub const fn max_attempts(mut self, attempts: i32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// When the task must have ended. Only said to the executor: the kit's time stands still.
    pub const fn deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Another task of the same owner exists; add the oldest first. It belongs to the same conversation when its context
    /// is that of [`TestRun::task`].
    pub fn other_task(mut self, task: Task) -> Self {
        self.world.tasks.push(task);
        self
    }

    /// The task under test, as it is now.
    pub const fn task(&self) -> &Task {
        &self.record.task
    }

    /// The client cancels once this many events were emitted; 0: before the start.
    pub const fn cancel_after_events(self, events: usize) -> Self {
        self.stop_after_events(events, OutputStopped::Canceled)
    }

    /// The run is stopped for some reason once this many events were emitted.
    pub const fn stop_after_events(mut self, events: usize, reason: OutputStopped) -> Self {
        self.script.stop_after = Some((events, reason));
        self
    }

    /// The worker is killed when the executor makes its `n`th write (from 1), before that is durable. A write is a status, a
    /// chunk, a checkpoint, or the end of a step with all its output. The executor is dropped where it is;
    /// [`TestReport::after_worker_loss`] goes on with what was durable.
    pub const fn crash_before_write(mut self, n: usize) -> Self {
        self.script.crash = Some(Crash::Before(n));
        self
    }

    /// The worker is killed when the `n`th write is durable, before the executor learns of it.
    pub const fn crash_after_write(mut self, n: usize) -> Self {
        self.script.crash = Some(Crash::After(n));
        self
    }

    /// An earlier attempt has stored this step or checkpoint. Panics when it cannot be one.
    pub fn with_checkpoint(mut self, name: &str, value: &impl serde::Serialize) -> Self {
        let name = CheckpointName::new(name).expect("a name of a checkpoint");
        let value = Json::from_serialize(value).expect("a value that can be kept");
        self.record.checkpoints.insert(name, value);
        self
    }

    /// The client says more right after the start.
    pub fn follow_up(self, text: impl Into<String>) -> Self {
        self.follow_up_after_events(0, text)
    }

    /// The client says more once this many events were emitted.
    pub fn follow_up_after_events(mut self, events: usize, text: impl Into<String>) -> Self {
        let mut message = self.record.message(vec![Part::text(text)]);
        let number = self.script.follow_ups.len() + 1;
        let id = longhaul_domain::MessageId::new(format!("follow-up-{number}"));
        message.message_id = id.expect("a short text is an id");
        let place = self.script.follow_ups.partition_point(|(n, _)| *n <= events);
        self.script.follow_ups.insert(place, (events, message));
        self
    }

    /// Runs the executor to its end. Does not end when the executor does not: use it under a time limit where that is a question.
    pub async fn run(mut self) -> TestReport {
        let mut history = self.record.history();
        let earlier_before = match self.history_limit {
            Some(limit) if limit < history.len() => {
                history.drain(..history.len() - limit);
                history.first().map(|item| item.seq)
            }
            _ => None,
        };
        let assignment = Assignment {
            key: self.record.task.key,
            agent: self.record.task.agent.clone(),
            context: self.record.task.context.clone(),
            created_at: self.record.task.created_at,
            attempt: self.record.attempt,
            max_attempts: self.max_attempts,
            turn: self.record.turn,
            deadline: self.deadline,
            history,
            earlier_before,
            request_metadata: self.request_metadata.take(),
            accepted_output_modes: self.record.accepted_output_modes.clone(),
            state_before: self.state_before,
            has_checkpoints: !self.record.checkpoints.is_empty(),
        };
        self.record.begin_attempt();
        let first = self.record.entries.len();
        let io = TestIo::new(self.record, self.world, self.script);
        let ctx = TaskContext::new(assignment, io.clone(), io.cancel.clone(), counting_ids());
        let call = AssertUnwindSafe(self.executor.execute(ctx.clone())).catch_unwind();
        let end = tokio::select! {
            biased;
            () = io.crashed.cancelled() => TestRunEnd::Crashed,
            ended = call => match ended.map(Outcome::from_result) {
                Ok(Ok(outcome)) => TestRunEnd::Outcome(outcome),
                Ok(Err(stopped)) => TestRunEnd::Stopped(stopped),
                Err(panic) => TestRunEnd::Panicked(panic_text(panic.as_ref())),
            },
        };
        TestReport::new(self.executor, end, &ctx, io.end(), first)
    }
}

fn counting_ids() -> Arc<dyn Fn() -> Uuid + Send + Sync> {
    let next = AtomicU64::new(1);
    Arc::new(move || Uuid::from_u64_pair(0x7000_0000, next.fetch_add(1, Ordering::Relaxed)))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
