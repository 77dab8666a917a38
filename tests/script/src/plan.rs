//! The plan of a script, as data.

use crate::error::PlanError;
use longhaul_domain::{Json, Part};
use serde::Deserialize;
use std::time::Duration;

/// Maximum number of statuses, chunks or checkpoints in a plan.
const MAX_PLAN_COUNT: u32 = 1_000_000;
/// Maximum size of a chunk or artifact, bytes.
const MAX_CHUNK_BYTES: usize = 64 * 1024 * 1024;
/// Maximum duration of one delay.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// The actions of a script, in the order of the members. An empty plan echoes the message and
/// completes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Plan {
    /// Delay before all other actions, milliseconds.
    pub delay_ms: u64,
    /// Number of statuses with a message and metadata.
    pub progress: u32,
    /// Delay after each status, milliseconds.
    pub progress_delay_ms: u64,
    /// Number of heartbeats.
    pub heartbeats: u32,
    /// Delay after each heartbeat, milliseconds.
    pub heartbeat_delay_ms: u64,
    /// An artifact in chunks.
    pub chunks: Option<ChunkPlan>,
    /// An artifact of each of these kinds.
    pub artifacts: Vec<ContentKind>,
    /// Artifacts with given contents. Conformance kits use them; clients cannot.
    #[serde(skip)]
    pub outputs: Vec<PlannedArtifact>,
    /// An artifact of this many bytes.
    pub large_bytes: usize,
    /// Steps, one after the other.
    pub steps: Vec<StepPlan>,
    /// A checkpoint that counts up.
    pub checkpoint: Option<CursorPlan>,
    /// The name of a file, in a folder of the worker, to which every step and every move of the
    /// cursor adds a line.
    pub effects: Option<String>,
    /// Number of further messages of the client to wait for and to answer with a status.
    pub listen: u32,
    /// Number of times to abort the worker's process.
    pub exits: i32,
    /// Number of first attempts that panic.
    pub panic_attempts: i32,
    /// Number of first attempts that fail.
    pub fail_attempts: i32,
    /// Makes failures retryable or final.
    pub retryable: Option<bool>,
    /// The shortest delay before a retry, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Hangs.
    pub hang: Option<HangMode>,
    /// Ignores a cancellation during delays.
    pub ignore_cancel: bool,
    /// The ending.
    pub end: PlanEnding,
    /// The message at the end.
    pub say: Option<String>,
    /// The answer until which `input-required` asks again.
    pub until: Option<String>,
}

/// An artifact, chunk by chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArtifact {
    /// The chunks, one part each.
    pub chunks: Vec<Part>,
}

/// An artifact in chunks of text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChunkPlan {
    /// Number of chunks.
    pub count: u32,
    /// Size of each chunk, bytes.
    #[serde(default = "default_size")]
    pub size: usize,
    /// Delay after each chunk, milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Time from the start of a chunk to the start of the next, milliseconds. A late chunk does not
    /// delay the later ones.
    #[serde(default)]
    pub every_ms: u64,
    /// Puts the time of emission into each chunk, in microseconds since 1970.
    #[serde(default)]
    pub stamped: bool,
}

/// A step: a delay, a line in the effect log, a status, and its name in the artifact `steps`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepPlan {
    /// The name, unique in the task.
    pub name: String,
    /// Delay before the work, milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// The text of the status.
    #[serde(default)]
    pub say: Option<String>,
    /// Number of first attempts in which the work fails at its end.
    #[serde(default)]
    pub fail_attempts: i32,
}

/// A checkpoint that counts up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CursorPlan {
    /// The name, unique in the task.
    pub name: String,
    /// The final value.
    #[serde(default = "one")]
    pub count: u32,
    /// Delay before each move, milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

const fn one() -> u32 {
    1
}

pub(crate) const fn default_size() -> usize {
    16
}

/// The content of an artifact.
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
    /// A part of each kind.
    Mixed,
}

/// A way to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HangMode {
    /// Hangs until the run must stop, and ends as canceled.
    UntilCancel,
    /// Hangs forever, even after a cancellation.
    Forever,
}

/// The ending of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanEnding {
    /// Completes.
    #[default]
    Completed,
    /// Fails.
    Failed,
    /// Rejects the task.
    Rejected,
    /// Ends as canceled by the agent.
    Canceled,
    /// Asks a question, and completes when it is answered.
    InputRequired,
    /// Asks for an authorization, and completes when the task is woken.
    AuthRequired,
    /// Replies directly.
    Message,
}

impl Plan {
    /// Parses a plan from JSON.
    ///
    /// # Errors
    /// JSON that is not a plan, or a plan beyond the limits.
    pub fn from_json(json: &Json) -> Result<Self, PlanError> {
        json.to::<Self>().map_err(PlanError::Metadata)?.bounded()
    }

    /// Checks the limits: a plan must not fill memory, and must end by itself.
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
