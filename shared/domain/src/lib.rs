//! The domain model: tasks, messages, artifacts, the task state machine, and the per-task log from
//! which everything else is derived. Pure: no I/O, no clock, no database, no protocol version.
//!
//! Values are validated on construction, so the rest of the system does not check them again.
//!
//! `cargo bench -p longhaul-domain` measures folding, encoding and ids.

pub mod agent;
pub mod artifact;
pub mod blob;
pub mod bounds;
pub mod channel;
pub mod checkpoint;
pub mod durability;
pub mod extension;
pub mod failure;
pub mod ids;
pub mod json;
pub mod limits;
pub mod line_separators;
pub mod log;
pub mod message;
pub mod offload;
pub mod owner;
pub mod part;
pub mod scan;
pub mod state;
mod stored_len;
pub mod task;
pub mod text;

pub use agent::{AgentDescriptor, Skill};
pub use artifact::{Artifact, ArtifactUpdate};
pub use blob::{Blob, BlobHash, BlobKind, BlobRef};
pub use channel::{SIGNAL_CHANNELS, SignalChannel};
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointName};
pub use durability::{DurabilityOptions, InvalidOption};
pub use failure::{FailureKind, TaskFailure};
pub use ids::{
    AgentName, ArtifactId, ContextId, Epoch, Fence, IdError, MessageId, OwnerId, Seq, TaskId,
    TaskKey, WorkerId,
};
pub use json::{Json, JsonError, JsonObject};
pub use limits::{AgentLimits, ConcurrencyLimits};
pub use log::{EntryBody, EntryKind, LogEntry, Note};
pub use message::{Message, Role};
pub use offload::{BlobSlot, MAX_ENTRY_CONTENT_BYTES, MAX_INLINE_CONTENT_BYTES};
pub use owner::{KeyId, Principal, Scope, Scopes};
pub use part::{Content, Part};
pub use state::{InvalidTransition, ParkedState, TaskState, TerminalState, Transition};
pub use task::{HistoryItem, Task, TaskStatus};
pub use text::{TextError, check_text};

/// The time type of all crates: UTC, significant to the millisecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
