//! A log entry on its way into the database: its text, and the facts that columns and indexes hold.

use longhaul_domain::{ArtifactId, EntryBody, EntryKind, TaskState};

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
    /// The body, as JSON.
    pub text: String,
}

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
            artifact,
            text: body.encode(),
        }
    }
}
