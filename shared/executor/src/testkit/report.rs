//! The result of a test run.

use super::{
    io::{OtherData, RunCounts},
    record::TaskRecord,
};
use crate::{Executor, Outcome, OutputStopped, TaskContext};
use longhaul_domain::{
    Artifact, ArtifactUpdate, CheckpointName, EntryBody, LogEntry, Part, Seq, Task, TaskState,
    log::StatusChange,
};
use std::sync::Arc;

/// The end of a call of the executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestRunEnd {
    /// The call returned an outcome. An error counts as a failure.
    Outcome(Outcome),
    /// The run was stopped.
    Stopped(OutputStopped),
    /// The call panicked.
    Panicked(String),
    /// The worker was killed during the call.
    Crashed,
}

/// The output of an executor in one run.
pub struct TestReport {
    pub(super) executor: Arc<dyn Executor>,
    end: TestRunEnd,
    read_up_to: Seq,
    pub(super) record: TaskRecord,
    pub(super) other: OtherData,
    counts: RunCounts,
    steps_begun: Vec<CheckpointName>,
    first: usize,
}

impl TestReport {
    pub(super) fn new(
        executor: Arc<dyn Executor>,
        end: TestRunEnd,
        ctx: &TaskContext,
        (mut record, other, counts): (TaskRecord, OtherData, RunCounts),
        first: usize,
    ) -> Self {
        // A retryable failure leaves the task `working`, for the next attempt.
        if let TestRunEnd::Outcome(outcome) = &end
            && !matches!(outcome, Outcome::Failed(failure) if failure.retryable)
        {
            // As the worker marks the status of a direct reply.
            let direct = matches!(outcome, Outcome::Direct(_));
            let change = StatusChange::with(outcome.state(), outcome.message().cloned());
            record.append(EntryBody::Status(StatusChange { direct, ..change }));
        }
        let (read_up_to, steps_begun) = (ctx.read_up_to(), ctx.steps_begun());
        Self { executor, end, read_up_to, record, other, counts, steps_begun, first }
    }

    /// The end of the call.
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

    /// The failure. Panics when the run did not fail.
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

    /// The task after the run, folded from its log.
    pub const fn task(&self) -> &Task {
        &self.record.task
    }

    /// The entries of this run, the outcome's status included.
    pub fn entries(&self) -> &[LogEntry] {
        &self.record.entries[self.first..]
    }

    /// The statuses that the executor sent, in order.
    pub fn statuses(&self) -> Vec<&StatusChange> {
        let statuses = self.entries().iter().filter_map(|entry| entry.body.status());
        statuses.filter(|change| change.state == TaskState::Working).collect()
    }

    /// The texts of these statuses. Empty where a status has no message.
    pub fn status_texts(&self) -> Vec<String> {
        let text =
            |change: &&StatusChange| change.message.as_ref().map(longhaul_domain::Message::text);
        self.statuses().iter().map(|change| text(change).unwrap_or_default()).collect()
    }

    /// The chunks that the executor sent, in order.
    pub fn chunks(&self) -> Vec<&ArtifactUpdate> {
        self.entries()
            .iter()
            .filter_map(|entry| match &entry.body {
                EntryBody::Artifact(update) => Some(update),
                _ => None,
            })
            .collect()
    }

    /// The artifacts of the task after the run. Large parts are references.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.record.task.artifacts
    }

    /// The text parts of one artifact, joined, large ones included. Panics when there is no such
    /// artifact.
    #[track_caller]
    pub fn artifact_text(&self, id: &str) -> String {
        let found = self.artifacts().iter().find(|artifact| artifact.artifact_id.as_str() == id);
        let artifact = found.unwrap_or_else(|| panic!("no artifact {id}: {:?}", self.artifacts()));
        artifact.parts.iter().filter_map(|part| self.text_of(part)).collect()
    }

    fn text_of(&self, part: &Part) -> Option<String> {
        let mut part = part.clone();
        if let Some(blob) = part.blob() {
            part.content = blob.restore(self.other.blobs.get(&blob.hash)?.clone()).ok()?;
        }
        part.as_text().map(str::to_owned)
    }

    /// The text of the task's current status.
    pub fn status_text(&self) -> String {
        self.record
            .task
            .status
            .message
            .as_ref()
            .map(longhaul_domain::Message::text)
            .unwrap_or_default()
    }

    /// The highest position of a client's message that the executor has read.
    pub const fn read_up_to(&self) -> Seq {
        self.read_up_to
    }

    /// The steps that this run has begun. Steps that an earlier run has done are not included.
    pub fn steps_begun(&self) -> Vec<&str> {
        self.steps_begun.iter().map(CheckpointName::as_str).collect()
    }

    /// The names of all steps and checkpoints that are durable after the run.
    pub fn checkpoints(&self) -> Vec<&str> {
        self.record.checkpoints.keys().map(CheckpointName::as_str).collect()
    }

    /// The durable value of a step or checkpoint. Panics when it does not fit the type.
    #[track_caller]
    pub fn checkpoint<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let name = CheckpointName::new(name).ok()?;
        let value = self.record.checkpoints.get(&name)?.as_str();
        let read =
            |error| panic!("checkpoint {name} holds {value}, which is another type: {error}");
        Some(serde_json::from_str(value).unwrap_or_else(read))
    }

    /// The number of writes that the run has made or begun.
    pub const fn writes(&self) -> usize {
        self.counts.writes
    }

    /// The number of heartbeats of the executor.
    pub const fn heartbeats(&self) -> usize {
        self.counts.heartbeats
    }

    /// The whole log of the task, over all runs.
    pub(super) fn log(&self) -> &[LogEntry] {
        &self.record.entries
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
