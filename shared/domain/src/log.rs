//! The log of a task: the one record from which streams, webhooks, snapshots and history are derived.
//!
//! Entries are numbered 1, 2, 3, … and never change. Not every entry is an event on the wire: messages of the client
//! and notes about attempts are not.

use crate::{
    ArtifactId, ArtifactUpdate, BlobSlot, JsonObject, Message, Seq, TaskFailure, TaskState,
    Timestamp,
    blob::least_len,
    message::{LenOf, has_blob, object_len},
    task::TaskStatus,
};
use serde::{Deserialize, Serialize};

/// One entry of a task's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub seq: Seq,
    /// When it was committed, by the store's clock.
    pub at: Timestamp,
    /// The attempt that wrote it; 0 when no executor did.
    pub attempt: i32,
    /// What it says.
    pub body: EntryBody,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryBody {
    /// The client spoke.
    Message(UserMessage),
    /// The status changed, or there is progress.
    Status(StatusChange),
    /// An artifact, or a chunk of one.
    Artifact(ArtifactUpdate),
    /// Something inside happened that those who read history want to know.
    Note(Note),
}

/// A message of the client together with what its request says beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// The message.
    pub message: Message,
    /// Metadata of the request that carried it (A2A 3.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_metadata: Option<JsonObject>,
    /// Media types that the client can take in answer to this message; empty for any (A2A 3.2.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_output_modes: Vec<String>,
}

impl UserMessage {
    /// A message of whose request nothing else is known.
    pub const fn new(message: Message) -> Self {
        Self { message, request_metadata: None, accepted_output_modes: Vec::new() }
    }
    /// About how many bytes it takes when it is stored as it is.
    pub fn stored_len(&self) -> usize {
        self.len_with(|len| len)
    }
    /// About how many bytes it takes at least, once all contents that can be are moved to blobs.
    pub fn least_stored_len(&self) -> usize {
        self.len_with(least_len)
    }
    fn len_with(&self, count: LenOf) -> usize {
        let modes: usize = self.accepted_output_modes.iter().map(|mode| mode.len() + 3).sum();
        let metadata = object_len(self.request_metadata.as_ref(), count);
        self.message.stored_len(count) + modes + metadata
    }
    /// The contents of the message and its request that may be kept apart.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.request_metadata.as_mut().map(BlobSlot::Metadata);
        self.message.blob_slots().chain(metadata)
    }
    /// How [`EntryBody::encode`] stores it.
    ///
    /// # Panics
    ///
    /// Never: domain values have string keys only, which is all that JSON asks.
    pub fn encode(&self) -> String {
        serde_json::to_string(self)
            .expect("domain values have string keys and cannot fail to encode")
    }
}

/// A new status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// The state from now on.
    pub state: TaskState,
    /// What the agent says with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Anything else about this change; not part of the status (A2A 4.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
    /// Whether the message is a direct reply, to be sent to a waiting client instead of the task (A2A 3.1.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// Why the task failed, with the state `failed`. Not part of the status: clients find it in the message's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<TaskFailure>,
}

impl StatusChange {
    /// A change to a state, without a word.
    pub const fn to(state: TaskState) -> Self {
        Self { state, message: None, metadata: None, direct: false, failed: None }
    }
    /// A change to a state with a message.
    pub const fn with(state: TaskState, message: Option<Message>) -> Self {
        Self { state, message, metadata: None, direct: false, failed: None }
    }
    /// The status that it makes, once committed.
    pub fn status(self, seq: Seq, at: Timestamp) -> TaskStatus {
        TaskStatus { state: self.state, message: self.message, at, seq }
    }
}

/// Something that happened inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// An attempt failed and another one follows.
    #[serde(rename_all = "camelCase")]
    AttemptFailed {
        /// Which attempt, from 1.
        attempt: i32,
        /// Why.
        cause: String,
        /// Milliseconds until the next one may start.
        retry_in_ms: i64,
    },
    /// The worker was lost; its run was offered again, without counting an attempt.
    WorkerLost {
        /// Which worker.
        worker: String,
    },
    /// A running task was asked to stop.
    CancelRequested,
}

/// Kind of an entry, as a store keeps it. The numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// [`EntryBody::Message`]
    Message,
    /// [`EntryBody::Status`]
    Status,
    /// [`EntryBody::Artifact`]
    Artifact,
    /// [`EntryBody::Note`]
    Note,
}

impl EntryKind {
    /// The number that stands for it in a store.
    pub const fn number(self) -> i16 {
        match self {
            Self::Message => 1,
            Self::Status => 2,
            Self::Artifact => 3,
            Self::Note => 4,
        }
    }
    /// The kind of a number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Message),
            2 => Some(Self::Status),
            3 => Some(Self::Artifact),
            4 => Some(Self::Note),
            _ => None,
        }
    }
}

/// A stored entry that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log entry of kind {kind:?} cannot be read: {source}")]
pub struct CorruptEntry {
    kind: EntryKind,
    source: serde_json::Error,
}

impl EntryBody {
    /// Its kind.
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::Message(_) => EntryKind::Message,
            Self::Status(_) => EntryKind::Status,
            Self::Artifact(_) => EntryKind::Artifact,
            Self::Note(_) => EntryKind::Note,
        }
    }

    /// Whether clients see it as an event of a stream.
    pub const fn is_event(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Artifact(_))
    }

    /// The message that belongs into the task's history because of this entry.
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(user) => Some(&user.message),
            Self::Status(change) => change.message.as_ref(),
            Self::Artifact(_) | Self::Note(_) => None,
        }
    }

    /// The artifact that this entry begins, or begins anew: where a reader of that artifact starts.
    pub const fn starts_artifact(&self) -> Option<&ArtifactId> {
        match self {
            Self::Artifact(update) if !update.append => Some(&update.artifact.artifact_id),
            _ => None,
        }
    }

    /// The new status, when this entry changes it.
    pub const fn status(&self) -> Option<&StatusChange> {
        match self {
            Self::Status(change) => Some(change),
            _ => None,
        }
    }

    /// About how many bytes it takes when it is stored as it is.
    pub fn stored_len(&self) -> usize {
        self.len_with(|len| len)
    }

    fn len_with(&self, count: LenOf) -> usize {
        match self {
            Self::Message(user) => user.len_with(count),
            Self::Status(change) => {
                change.message.as_ref().map_or(0, |message| message.stored_len(count))
                    + object_len(change.metadata.as_ref(), count)
            }
            Self::Artifact(update) => {
                update.artifact.stored_len(count) + object_len(update.metadata.as_ref(), count)
            }
            Self::Note(_) => 0,
        }
    }

    /// Every content in it that may be kept apart.
    pub fn blob_slots(&mut self) -> Box<dyn Iterator<Item = BlobSlot<'_>> + '_> {
        match self {
            Self::Message(user) => Box::new(user.blob_slots()),
            Self::Status(StatusChange { message, metadata, .. }) => Box::new(
                (message.iter_mut().flat_map(Message::blob_slots))
                    .chain(metadata.as_mut().map(BlobSlot::Metadata)),
            ),
            Self::Artifact(ArtifactUpdate { artifact, metadata, .. }) => {
                Box::new(artifact.blob_slots().chain(metadata.as_mut().map(BlobSlot::Metadata)))
            }
            Self::Note(_) => Box::new(std::iter::empty()),
        }
    }

    /// Whether any of its contents is kept apart.
    pub fn has_blobs(&self) -> bool {
        match self {
            Self::Message(user) => {
                user.message.has_blobs() || has_blob(user.request_metadata.as_ref())
            }
            Self::Status(change) => {
                change.message.as_ref().is_some_and(Message::has_blobs)
                    || has_blob(change.metadata.as_ref())
            }
            Self::Artifact(update) => {
                update.artifact.has_blobs() || has_blob(update.metadata.as_ref())
            }
            Self::Note(_) => false,
        }
    }

    /// How it is stored: a JSON text that SQL can read.
    ///
    /// # Panics
    ///
    /// Never: domain values have string keys only, which is all that JSON asks.
    pub fn encode(&self) -> String {
        let encoded = match self {
            Self::Message(user) => return user.encode(),
            Self::Status(change) => serde_json::to_string(change),
            Self::Artifact(update) => serde_json::to_string(update),
            Self::Note(note) => serde_json::to_string(note),
        };
        encoded.expect("domain values have string keys and cannot fail to encode")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(kind: EntryKind, text: &str) -> Result<Self, CorruptEntry> {
        let decoded = match kind {
            EntryKind::Message => serde_json::from_str(text).map(Self::Message),
            EntryKind::Status => serde_json::from_str(text).map(Self::Status),
            EntryKind::Artifact => serde_json::from_str(text).map(Self::Artifact),
            EntryKind::Note => serde_json::from_str(text).map(Self::Note),
        };
        decoded.map_err(|source| CorruptEntry { kind, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageId, Part, Role};

    #[test]
    fn what_a_request_does_not_say_takes_no_room_and_may_be_missing() {
        let id = MessageId::new("m").unwrap();
        let mut said = UserMessage::new(Message::new(id, Role::User, vec![Part::text("hi")]));
        let plain = said.encode();
        let message = serde_json::to_string(&said.message).unwrap();
        assert_eq!(plain, format!(r#"{{"message":{message}}}"#));
        let read = |text: &str| EntryBody::decode(EntryKind::Message, text).unwrap();
        assert_eq!(read(&plain), EntryBody::Message(said.clone()));

        said.accepted_output_modes = vec!["text/plain".to_owned()];
        let asked = format!(r#"{{"message":{message},"acceptedOutputModes":["text/plain"]}}"#);
        assert_eq!(said.encode(), asked);
        assert_eq!(read(&asked), EntryBody::Message(said));
    }
}
