//! The setup of a test run.

use super::{
    TestReport, TestRunEnd,
    io::{CrashPoint, OtherData, RunScript, TestIo},
    record::TaskRecord,
};
use crate::{Assignment, Executor, Outcome, OutputStopped, TaskContext};
use futures::FutureExt;
use longhaul_domain::{
    CheckpointName, EntryBody, Json, JsonObject, Message, Part, Task, TaskState, Timestamp,
    log::StatusChange, offload::offload_to_blobs,
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

/// A test run in preparation: what the client sends, and what happens during the run.
/// [`run`](Self::run) starts it.
///
/// ```
/// # use longhaul_executor::{domain::TaskState, prelude::*, testkit::{TestRun, executor_fn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let executor = executor_fn(|ctx| async move {
///     if ctx.attempt() == 1 {
///         return Ok(ExecutorFailure::retryable("the disk is busy").into());
///     }
///     Ok(ctx.completed("saved"))
/// });
/// let failed = TestRun::new(executor).text("save").run().await;
/// assert!(failed.failure().retryable);
/// let report = failed.retry().run().await;
/// assert_eq!((report.state(), report.status_text().as_str()), (TaskState::Completed, "saved"));
/// # }
/// ```
#[must_use = "nothing happens before run()"]
pub struct TestRun {
    executor: Arc<dyn Executor>,
    pub(super) record: TaskRecord,
    pub(super) other: OtherData,
    pub(super) script: RunScript,
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

    /// The first run of a task by a shared executor.
    pub fn from_shared(executor: Arc<dyn Executor>) -> Self {
        Self::resume(executor, TaskRecord::new(), OtherData::default())
    }

    pub(super) fn resume(
        executor: Arc<dyn Executor>,
        record: TaskRecord,
        other: OtherData,
    ) -> Self {
        Self {
            executor,
            state_before: record.task.status.state,
            record,
            other,
            script: RunScript::default(),
            max_attempts: 3,
            deadline: None,
            request_metadata: None,
            history_limit: None,
        }
    }

    /// Adds a text message of the client.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.parts(vec![Part::text(text)])
    }

    /// Adds a message of the client with these parts.
    pub fn parts(self, parts: Vec<Part>) -> Self {
        let message = self.record.message(parts);
        self.message(message)
    }

    /// Adds a message of the client. Large parts become references, as a worker finds them.
    pub fn message(mut self, mut message: Message) -> Self {
        for blob in offload_to_blobs(message.blob_slots()) {
            self.other.blobs.insert(blob.hash, blob.bytes);
        }
        self.record.add_message(message);
        self
    }

    /// Sets metadata of the client's request.
    pub fn request_metadata(mut self, metadata: JsonObject) -> Self {
        self.request_metadata = Some(metadata);
        self
    }

    /// Limits the messages that the run begins with. Older ones are read by
    /// [`TaskContext::earlier_messages`](crate::TaskContext::earlier_messages).
    pub const fn history_limit(mut self, messages: usize) -> Self {
        self.history_limit = Some(messages);
        self
    }

    /// Sets the media types that the client accepts in answer. They apply until its next message.
    pub fn accepted_output_modes(mut self, modes: &[&str]) -> Self {
        self.record.accepted_output_modes = modes.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets the number of the attempt.
    pub const fn attempt(mut self, attempt: i32) -> Self {
        self.record.attempt = attempt;
        if attempt > 1 {
            self.state_before = TaskState::Working;
        }
        self
    }

    /// Sets the maximum number of attempts.
    pub const fn max_attempts(mut self, attempts: i32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the task's deadline. The executor sees it, but the kit does not enforce it: its time
    /// stands still.
    pub const fn deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Adds another task of the same owner, oldest first. It belongs to the same conversation when
    /// its context is that of [`TestRun::task`].
    pub fn other_task(mut self, task: Task) -> Self {
        self.other.tasks.push(task);
        self
    }

    /// The task under test, in its current state.
    pub const fn task(&self) -> &Task {
        &self.record.task
    }

    /// Cancels the task once this many events were emitted; 0: before the start.
    pub const fn cancel_after_events(self, events: usize) -> Self {
        self.stop_after_events(events, OutputStopped::Canceled)
    }

    /// Stops the run for this reason once this many events were emitted.
    pub const fn stop_after_events(mut self, events: usize, reason: OutputStopped) -> Self {
        self.script.stop_after = Some((events, reason));
        self
    }

    /// Kills the worker when the executor makes its `n`th write (from 1), before that write is
    /// durable. A write is a status, a chunk, a checkpoint, or the end of a step with all its
    /// output. The executor is dropped at that point; [`TestReport::after_worker_loss`] continues
    /// from what was durable.
    pub const fn crash_before_write(mut self, n: usize) -> Self {
        self.script.crash = Some(CrashPoint::Before(n));
        self
    }

    /// Kills the worker when the `n`th write is durable, before the executor learns of it.
    pub const fn crash_after_write(mut self, n: usize) -> Self {
        self.script.crash = Some(CrashPoint::After(n));
        self
    }

    /// Adds a step or checkpoint that an earlier attempt has stored. Panics when name or value are
    /// not valid.
    pub fn with_checkpoint(mut self, name: &str, value: &impl serde::Serialize) -> Self {
        let name = CheckpointName::new(name).expect("a name of a checkpoint");
        let value = Json::from_serialize(value).expect("a value that can be kept");
        self.record.checkpoints.insert(name, value);
        self
    }

    /// Adds a message that the client sends right after the start.
    pub fn follow_up(self, text: impl Into<String>) -> Self {
        self.follow_up_after_events(0, text)
    }

    /// Adds a message that the client sends once this many events were emitted.
    pub fn follow_up_after_events(mut self, events: usize, text: impl Into<String>) -> Self {
        let mut message = self.record.message(vec![Part::text(text)]);
        let number = self.script.follow_ups.len() + 1;
        let id = longhaul_domain::MessageId::new(format!("follow-up-{number}"));
        message.message_id = id.expect("a short text is an id");
        let place = self.script.follow_ups.partition_point(|(n, _)| *n <= events);
        self.script.follow_ups.insert(place, (events, message));
        self
    }

    /// Runs the executor until it returns. Use a timeout where the executor may hang.
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
        // After the assignment was taken: a run sees the state from before its own start.
        self.record.begin_attempt();
        let first = self.record.entries.len();
        let io = TestIo::new(self.record, self.other, self.script);
        let ctx = TaskContext::new(assignment, io.clone(), io.cancel.clone(), counting_ids());
        // A panic ends the run, and nothing uses its context again.
        let call = AssertUnwindSafe(self.executor.execute(ctx.clone())).catch_unwind();
        let end = tokio::select! {
            // A crash wins over an executor that returns in the same poll: a dead worker reports nothing.
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

/// Runs that continue the task of a report.
impl TestReport {
    /// Sets up the next attempt of the same turn, after a failure or a stop.
    pub fn retry(self) -> TestRun {
        let mut record = self.record;
        record.attempt += 1;
        TestRun::resume(self.executor, record, self.other)
    }

    /// Sets up the same attempt on another worker, after this one was lost.
    pub fn after_worker_loss(self) -> TestRun {
        TestRun::resume(self.executor, self.record, self.other)
    }

    /// Sets up the next turn of a parked task, with the client's answer. Panics when the task is
    /// not parked.
    #[track_caller]
    pub fn answer(self, text: impl Into<String>) -> TestRun {
        assert!(self.state().is_parked(), "a task that is {} waits for no answer", self.state());
        let mut record = self.record;
        let message = record.message(vec![Part::text(text)]);
        record.add_later_message(message);
        record.append(EntryBody::Status(StatusChange::to(TaskState::Submitted)));
        record.attempt = 1;
        record.turn += 1;
        TestRun::resume(self.executor, record, self.other)
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
