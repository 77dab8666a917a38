//! What came of a run.

use super::{
    TestRun,
    io::{Counts, World},
    record::Record,
};
use crate::{Executor, Outcome, OutputStopped, TaskContext};
use longhaul_domain::{
    Artifact, ArtifactUpdate, CheckpointName, EntryBody, LogEntry, Part, Seq, Task, TaskState,
    log::StatusChange,
};
use std::sync::Arc;

/// How a call of the executor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestRunEnd {
    /// With an outcome; an error is a failure.
    Outcome(Outcome),
    /// Quietly, because the run was stopped.
    Stopped(OutputStopped),
    /// With a panic.
    Panicked(String),
    /// Not at all: its worker was killed.
    Crashed,
}

/// What an executor did in one run.
pub struct TestReport {
    executor: Arc<dyn Executor>,
    end: TestRunEnd,
    read_up_to: Seq,
    record: Record,
    world: World,
    counts: Counts,
    steps_begun: Vec<CheckpointName>,
    first: usize,
}

impl TestReport {
    pub(super) fn new(
        executor: Arc<dyn Executor>,
        end: TestRunEnd,
        ctx: &TaskContext,
        (mut record, world, counts): (Record, World, Counts),
        first: usize,
    ) -> Self {
        // A retryable failure leaves the task `working`, for the next attempt.
        if let TestRunEnd::Outcome(outcome) = &end
            && !matches!(outcome, Outcome::Failed(failure) if failure.retryable)
        {
            let direct = matches!(outcome, Outcome::Direct(_));
            let change = StatusChange::with(outcome.state(), outcome.message().cloned());
            record.append(EntryBody::Status(StatusChange { direct, ..change }));
        }
        let (read_up_to, steps_begun) = (ctx.read_up_to(), ctx.steps_begun());
        Self { executor, end, read_up_to, record, world, counts, steps_begun, first }
    }

    /// How it ended.
    pub const fn end(&self) -> &TestRunEnd {
        &self.end
    }

    /// The outcome. Panics when the run was stopped or panicked.
    #[track_caller]
    pub fn outcome(&self) -> &Outcome {
        match &self.end {
            TestRunEnd::Outcome(outcome) => outcome,
            other => panic!("the executor ended with {other:?}, not with an outcome"),
        }
    }

    /// What the failure says. Panics when there is none.
    #[track_caller]
    pub fn failure(&self) -> &crate::ExecutorFailure {
        match self.outcome() {
            Outcome::Failed(failure) => failure,
            other => panic!("the executor ended with {other:?}, not with a failure"),
        }
    }

    /// The state of the task after the run.
    pub const fn state(&self) -> TaskState {
        self.record.task.status.state
    }

    /// The task after the run: its log folded.
    pub const fn task(&self) -> &Task {
        &self.record.task
    }

    /// The entries of this run, the outcome's status included.
    pub fn entries(&self) -> &[LogEntry] {
        &self.record.entries[self.first..]
    }

    /// The statuses that the executor emitted, in order.
    pub fn statuses(&self) -> Vec<&StatusChange> {
        let statuses = self.entries().iter().filter_map(|entry| entry.body.status());
        statuses.filter(|change| change.state == TaskState::Working).collect()
    }

    /// The texts of these statuses; an empty one where there is none.
    pub fn status_texts(&self) -> Vec<String> {
        let text =
            |change: &&StatusChange| change.message.as_ref().map(longhaul_domain::Message::text);
        self.statuses().iter().map(|change| text(change).unwrap_or_default()).collect()
    }

    /// The chunks that the executor emitted, in order.
    pub fn chunks(&self) -> Vec<&ArtifactUpdate> {
        self.entries()
            .iter()
            .filter_map(|entry| match &entry.body {
                EntryBody::Artifact(update) => Some(update),
                _ => None,
            })
            .collect()
    }

    /// The artifacts of the task after the run; large parts are references.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.record.task.artifacts
    }

    /// The text parts of one artifact, joined, large ones included. Panics when there is no such artifact.
    #[track_caller]
    pub fn artifact_text(&self, id: &str) -> String {
        let found = self.artifacts().iter().find(|artifact| artifact.artifact_id.as_str() == id);
        let artifact = found.unwrap_or_else(|| panic!("no artifact {id}: {:?}", self.artifacts()));
        artifact.parts.iter().filter_map(|part| self.text_of(part)).collect()
    }

    fn text_of(&self, part: &Part) -> Option<String> {
        let mut part = part.clone();
        if let Some(blob) = part.blob() {
            part.content = blob.restore(self.world.blobs.get(&blob.hash)?.clone()).ok()?;
        }
        part.as_text().map(str::to_owned)
    }

    /// What is said with the status that the task has now.
    pub fn status_text(&self) -> String {
        self.record
            .task
            .status
            .message
            .as_ref()
            .map(longhaul_domain::Message::text)
            .unwrap_or_default()
    }

    /// The highest message of the client that the executor was given.
    pub const fn read_up_to(&self) -> Seq {
        self.read_up_to
    }

    /// The steps whose work was begun in this run: not those that an earlier one has done.
    pub fn steps_begun(&self) -> Vec<&str> {
        self.steps_begun.iter().map(CheckpointName::as_str).collect()
    }

    /// The names of all steps and checkpoints that are durable after the run.
    pub fn checkpoints(&self) -> Vec<&str> {
        self.record.checkpoints.keys().map(CheckpointName::as_str).collect()
    }

    /// What is durable under the name of a step or checkpoint. Panics when it does not fit the type.
    #[track_caller]
    pub fn checkpoint<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let name = CheckpointName::new(name).ok()?;
        let value = self.record.checkpoints.get(&name)?.as_str();
        let read =
            |error| panic!("checkpoint {name} holds {value}, which is another type: {error}");
        Some(serde_json::from_str(value).unwrap_or_else(read))
    }

    /// How many writes the run has made or begun.
    pub const fn writes(&self) -> usize {
        self.counts.writes
    }

    /// How often the executor said that it is getting on.
    pub const fn heartbeats(&self) -> usize {
        self.counts.heartbeats
    }

    /// The whole log of the task, over all runs.
    pub(super) fn log(&self) -> &[LogEntry] {
        &self.record.entries
    }

    /// The next attempt of the same turn, after a failure or a stop.
    pub fn retry(self) -> TestRun {
        let mut record = self.record;
        record.attempt += 1;
        TestRun::again(self.executor, record, self.world)
    }

    /// The same attempt on another worker, after this one was lost.
    pub fn after_worker_loss(self) -> TestRun {
        TestRun::again(self.executor, self.record, self.world)
    }

    /// The client answers a parked task: the next turn. Panics when the task is not parked.
    #[track_caller]
    pub fn answer(self, text: impl Into<String>) -> TestRun {
        assert!(self.state().is_parked(), "a task that is {} waits for no answer", self.state());
        let mut record = self.record;
        let message = record.message(vec![Part::text(text)]);
        record.hear_more(message);
        record.append(EntryBody::Status(StatusChange::to(TaskState::Submitted)));
        record.attempt = 1;
        record.turn += 1;
        TestRun::again(self.executor, record, self.world)
    }
}

impl std::fmt::Debug for TestReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("end", &self.end)
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}
