//! A log entry on its way into the database: its text, and the facts that columns and indexes hold.

use longhaul_domain::{
    ArtifactId, EntryBody, EntryKind, FailureKind, Message, TaskFailure, TaskState,
    log::StatusChange,
};

/// An encoded entry.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Its kind.
    pub kind: EntryKind,
    /// Whether it bears a message.
    pub speaks: bool,
    /// The state that it leads to, for a status.
    pub state: Option<TaskState>,
    /// The artifact, for a chunk, and whether the chunk is appended.
    pub artifact: Option<(ArtifactId, bool)>,
    /// Why the task has failed, for the status that says so.
    pub failed: Option<Box<TaskFailure>>,
    /// The body, as JSON.
    pub text: String,
}

/// What is known of a failure; an executor that says nothing about it cannot be helped by another attempt.
fn failed(change: &StatusChange) -> Option<Box<TaskFailure>> {
    if change.state != TaskState::Failed {
        return None;
    }
    let failed = change.failed.clone().unwrap_or_else(|| {
        let said = change.message.as_ref().map(Message::text).unwrap_or_default();
        TaskFailure::new(FailureKind::Fatal, &said, UNKNOWN)
    });
    Some(Box::new(failed))
}

/// Instead of a number of attempts: the attempt that wrote the entry is the last one.
pub const UNKNOWN: i32 = -1;

impl Encoded {
    /// What the entry weighs in a batch, in bytes.
    pub fn weight(&self) -> usize {
        self.text.len() + 200
    }
}

impl From<&EntryBody> for Encoded {
    fn from(body: &EntryBody) -> Self {
        let artifact = match body {
            EntryBody::Artifact(update) => {
                Some((update.artifact.artifact_id.clone(), update.append))
            }
            EntryBody::Message(_) | EntryBody::Status(_) | EntryBody::Note(_) => None,
        };
        Self {
            kind: body.kind(),
            speaks: body.message().is_some(),
            state: body.status().map(|change| change.state),
            failed: body.status().and_then(failed),
            artifact,
            text: body.encode(),
        }
    }
}
