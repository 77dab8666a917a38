//! Log entries encoded for the database: the JSON text and the facts that columns and indexes hold.

use longhaul_domain::{
    ArtifactId, EntryBody, EntryKind, FailureKind, Message, TaskFailure, TaskState,
    log::StatusChange,
};

/// An encoded entry.
#[derive(Debug, Clone)]
pub struct EncodedEntry {
    /// Kind of entry.
    pub kind: EntryKind,
    /// Set if the entry contains a message.
    pub has_message: bool,
    /// The new state, for a status entry.
    pub state: Option<TaskState>,
    /// Artifact id of a chunk, and whether the chunk is appended to what is there.
    pub artifact: Option<(ArtifactId, bool)>,
    /// Failure, for a status that ends the task as failed.
    pub failed: Option<Box<TaskFailure>>,
    /// The body as JSON.
    pub text: String,
}

/// Returns the failure of a status. An executor that gives no reason gets [`FailureKind::Fatal`]: a
/// retry would not help.
fn failed(change: &StatusChange) -> Option<Box<TaskFailure>> {
    // Only failures have a cause to keep.
    if change.state != TaskState::Failed {
        return None;
    }
    let failed = change.failed.clone().unwrap_or_else(|| {
        let said = change.message.as_ref().map(Message::text).unwrap_or_default();
        TaskFailure::new(FailureKind::Fatal, &said, UNKNOWN_ATTEMPTS)
    });
    Some(Box::new(failed))
}

/// Placeholder for an attempt count that is filled in when the entry is appended.
pub const UNKNOWN_ATTEMPTS: i32 = -1;

impl EncodedEntry {
    /// Size in a batch, in bytes.
    pub fn weight(&self) -> usize {
        self.text.len() + 200
    }
}

impl From<&EntryBody> for EncodedEntry {
    fn from(body: &EntryBody) -> Self {
        let artifact = match body {
            EntryBody::Artifact(update) => {
                Some((update.artifact.artifact_id.clone(), update.append))
            }
            EntryBody::Message(_) | EntryBody::Status(_) | EntryBody::Note(_) => None,
        };
        Self {
            kind: body.kind(),
            has_message: body.message().is_some(),
            state: body.status().map(|change| change.state),
            failed: body.status().and_then(failed),
            artifact,
            text: body.encode(),
        }
    }
}
