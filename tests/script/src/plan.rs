//! What a script does, as data.

use crate::error::PlanError;
use longhaul_domain::{Json, Part};
use serde::Deserialize;
use std::time::Duration;

/// Most of anything that a plan may ask for.
const MAX_PLAN_COUNT: u32 = 1_000_000;
/// Largest chunk or artifact, bytes.
const MAX_CHUNK_BYTES: usize = 64 * 1024 * 1024;
/// Longest single delay.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// What to do, in the order of its members; an empty plan answers with the text of the message and completes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Plan {
    /// Wait before anything else.
    pub delay_ms: u64,
    /// So many statuses with a message and metadata.
    pub progress: u32,
    /// Wait after each.
    pub progress_delay_ms: u64,
    /// So many signs of progress that say nothing.
    pub heartbeats: u32,
    /// Wait after each.
    pub heartbeat_delay_ms: u64,
    /// An artifact in chunks.
    pub chunks: Option<ChunkPlan>,
    /// An artifact of each of these kinds.
    pub artifacts: Vec<ContentKind>,
    /// Artifacts with these contents; not for clients.
    #[serde(skip)]
    pub outputs: Vec<PlannedArtifact>,
    /// An artifact of this many bytes.
    pub large_bytes: usize,
    /// Steps, one after the other.
    pub steps: Vec<StepPlan>,
    /// A cursor that is moved on.
    pub checkpoint: Option<CursorPlan>,
    /// The file to which the work of each step and each move of the cursor adds a line, in a folder of the worker's.
    pub effects: Option<String>,
    /// Wait for so many further messages of the client and answer each with a status.
    pub listen: u32,
    /// Abort the worker's process this many times.
    pub exits: i32,
    /// Panic in this many first attempts.
    pub panic_attempts: i32,
    /// Fail in this many first attempts.
    pub fail_attempts: i32,
    /// Whether a failure is worth another attempt.
    pub retryable: Option<bool>,
    /// When, at the earliest.
    pub retry_after_ms: Option<u64>,
    /// Hang.
    pub hang: Option<HangMode>,
    /// Do not notice a cancellation while waiting.
    pub ignore_cancel: bool,
    /// How to end.
    pub end: PlanEnding,
    /// What to say at the end.
    pub say: Option<String>,
    /// With `input-required`: ask again until the client says this.
    pub until: Option<String>,
}

/// An artifact, chunk by chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArtifact {
    /// A part each.
    pub chunks: Vec<Part>,
}

/// Chunks of an artifact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChunkPlan {
    /// How many.
    pub count: u32,
    /// Bytes of text in each.
    #[serde(default = "default_size")]
    pub size: usize,
    /// Wait after each.
    #[serde(default)]
    pub delay_ms: u64,
    /// Time from the begin of one to the begin of the next. A late one is followed at once, so the rate stays.
    #[serde(default)]
    pub every_ms: u64,
    /// Whether each tells when it was emitted, in microseconds since 1970.
    #[serde(default)]
    pub stamped: bool,
}

/// A step: waits, adds its line to the file of effects, says something, and adds its name to the artifact `steps`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepPlan {
    /// Its name, unique in the task.
    pub name: String,
    /// Wait before the work.
    #[serde(default)]
    pub delay_ms: u64,
    /// What to say.
    #[serde(default)]
    pub say: Option<String>,
    /// Fail at the end of the work in this many first attempts.
    #[serde(default)]
    pub fail_attempts: i32,
}

/// A checkpoint that counts up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CursorPlan {
    /// Its name, unique in the task.
    pub name: String,
    /// Up to where.
    #[serde(default = "one")]
    pub count: u32,
    /// Wait before each move.
    #[serde(default)]
    pub delay_ms: u64,
}

const fn one() -> u32 {
    1
}

pub(crate) const fn default_size() -> usize {
    16
}

/// Kinds of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// A text.
    Text,
    /// A file by value.
    Raw,
    /// A file by reference.
    Url,
    /// JSON data.
    Data,
    /// One artifact with a part of each.
    Mixed,
}

/// How to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HangMode {
    /// Until the run shall stop; then it is canceled.
    UntilCancel,
    /// For good, whatever happens.
    Forever,
}

/// How to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanEnding {
    /// Done.
    #[default]
    Completed,
    /// Not done.
    Failed,
    /// Refused.
    Rejected,
    /// Canceled by the agent.
    Canceled,
    /// A question; completes when answered.
    InputRequired,
    /// An authorization is needed; completes when the task is woken.
    AuthRequired,
    /// A direct reply.
    Message,
}

impl Plan {
    /// Reads a plan from JSON.
    pub fn from_json(json: &Json) -> Result<Self, PlanError> {
        json.to::<Self>().map_err(PlanError::Metadata)?.bounded()
    }

    /// The plan, unless it would fill memory or never end by itself.
    pub(crate) fn bounded(self) -> Result<Self, PlanError> {
        let chunks = self.chunks.unwrap_or_default();
        let cursor =
            self.checkpoint.as_ref().map_or((0, 0), |cursor| (cursor.count, cursor.delay_ms));
        let delays = [
            self.delay_ms,
            self.progress_delay_ms,
            self.heartbeat_delay_ms,
            chunks.delay_ms,
            chunks.every_ms,
            cursor.1,
        ];
        let delays = delays.into_iter().chain(self.steps.iter().map(|step| step.delay_ms));
        let counts = [self.progress, self.heartbeats, chunks.count, cursor.0];
        let many = self.artifacts.len().max(self.steps.len()) > 1000;
        if many || counts.into_iter().any(|count| count > MAX_PLAN_COUNT) {
            return Err(PlanError::TooMuch(
                "at most 1,000,000 statuses, chunks or checkpoints, 1,000 artifacts or steps",
            ));
        }
        if chunks.size > MAX_CHUNK_BYTES || self.large_bytes > MAX_CHUNK_BYTES {
            return Err(PlanError::TooMuch("at most 64 MiB in a chunk or artifact"));
        }
        if delays.map(Duration::from_millis).any(|delay| delay > MAX_DELAY) {
            return Err(PlanError::TooMuch("at most an hour of delay at a time"));
        }
        Ok(self)
    }
}
