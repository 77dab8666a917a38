//! The log of a task: the single record from which streams, webhooks, snapshots and history are
//! derived.
//!
//! Entries are numbered 1, 2, 3, … and never change. Client messages and notes about attempts are
//! entries, but no events on the wire.

use crate::{
    ArtifactId, ArtifactUpdate, ContextId, Json, JsonObject, Message, MessageId, Part, Role, Seq,
    TaskFailure, TaskId, TaskState, Timestamp, extension, failure::WITHHELD_CAUSE,
};
use serde::{Deserialize, Serialize};

/// An entry of a task's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The position in the log.
    pub seq: Seq,
    /// The time of the commit, by the store's clock.
    pub at: Timestamp,
    /// The attempt that wrote it; 0 if no executor did.
    pub attempt: i32,
    /// The body.
    pub body: EntryBody,
}

/// The body of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryBody {
    /// A message of the client.
    Message(UserMessage),
    /// A change of status, or progress.
    Status(StatusChange),
    /// An artifact, or a chunk of one.
    Artifact(ArtifactUpdate),
    /// An internal event, shown in the history only.
    Note(Note),
}

/// A client's message together with the relevant parts of its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// The message.
    pub message: Message,
    /// Metadata of the request that carried it (A2A 3.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_metadata: Option<JsonObject>,
    /// Media types that the client accepts in the answer; empty for any (A2A 3.2.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_output_modes: Vec<String>,
}

impl UserMessage {
    /// Wraps a message of a request without metadata and output modes.
    pub const fn new(message: Message) -> Self {
        Self { message, request_metadata: None, accepted_output_modes: Vec::new() }
    }
    /// Encodes the message as [`EntryBody::encode`] does.
    ///
    /// # Panics
    ///
    /// It never does: JSON requires string keys, and domain values have no others.
    pub fn encode(&self) -> String {
        serde_json::to_string(self)
            .expect("domain values have string keys and cannot fail to encode")
    }
}

/// A change of a task's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// The new state.
    pub state: TaskState,
    /// The agent's message with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Further data about this change; not part of the status (A2A 4.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
    /// Marks the message as a direct reply, sent to a waiting client instead of the task (A2A
    /// 3.1.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// The failure, with the state `failed`. Not part of the status: clients find it in the
    /// message's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<TaskFailure>,
}

impl StatusChange {
    /// Changes to a state, without a message.
    pub const fn to(state: TaskState) -> Self {
        Self { state, message: None, metadata: None, direct: false, failed: None }
    }
    /// Changes to a state, with an optional message.
    pub const fn with(state: TaskState, message: Option<Message>) -> Self {
        Self { state, message, metadata: None, direct: false, failed: None }
    }
}

impl TaskFailure {
    /// The final status: the executor's message, or else one with the cause. The failure stands in
    /// the message's metadata under [`extension::DURABILITY_EXTENSION`] (`because`, `cause`,
    /// `attempts`).
    pub fn status(
        self,
        task: TaskId,
        context: &ContextId,
        message: Option<Message>,
        id: impl FnOnce() -> MessageId,
    ) -> EntryBody {
        let mut message = message.unwrap_or_else(|| Message {
            task_id: Some(task),
            context_id: Some(context.clone()),
            // The id is generated only if this message is needed.
            ..Message::new(id(), Role::Agent, vec![Part::text(self.cause.clone())])
        });
        message.metadata = self.add_to_metadata(message.metadata);
        let change = StatusChange::with(TaskState::Failed, Some(message));
        EntryBody::Status(StatusChange { failed: Some(self), ..change })
    }

    /// The same as [`status`](Self::status), but clients read [`WITHHELD_CAUSE`] in place of the
    /// cause.
    pub fn status_without_cause(
        self,
        task: TaskId,
        context: &ContextId,
        message: Option<Message>,
        id: impl FnOnce() -> MessageId,
    ) -> EntryBody {
        let shown = Self { cause: WITHHELD_CAUSE.to_owned(), ..self.clone() };
        match shown.status(task, context, message, id) {
            EntryBody::Status(change) => {
                EntryBody::Status(StatusChange { failed: Some(self), ..change })
            }
            other => other,
        }
    }

    fn add_to_metadata(&self, metadata: Option<JsonObject>) -> Option<JsonObject> {
        let mut members =
            metadata.as_ref().and_then(|members| members.members().ok()).unwrap_or_default();
        // The status must be written in any case; without the details it still says that the task
        // failed.
        let Ok(failure) = Json::from_serialize(self) else { return metadata };
        members.insert(extension::DURABILITY_EXTENSION.to_owned(), failure);
        JsonObject::from_members(&members).ok().or(metadata)
    }
}

/// An internal event of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// An attempt failed and another one follows.
    #[serde(rename_all = "camelCase")]
    AttemptFailed {
        /// The number of the attempt, from 1.
        attempt: i32,
        /// The cause.
        cause: String,
        /// Milliseconds until the next one may start.
        retry_in_ms: i64,
    },
    /// The worker was lost. Its run was offered again without counting an attempt.
    WorkerLost {
        /// The worker.
        worker: String,
    },
    /// A cancel was requested while the task ran.
    CancelRequested,
}

/// The kind of an entry in a store.
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
    /// The number of the kind in a store. Never changes.
    pub const fn number(self) -> i16 {
        match self {
            Self::Message => 1,
            Self::Status => 2,
            Self::Artifact => 3,
            Self::Note => 4,
        }
    }
    /// The kind with this number.
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

/// The error of a stored entry that cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("log entry of kind {kind:?} cannot be read: {source}")]
pub struct CorruptEntry {
    kind: EntryKind,
    source: serde_json::Error,
}

impl EntryBody {
    /// The kind of the entry.
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::Message(_) => EntryKind::Message,
            Self::Status(_) => EntryKind::Status,
            Self::Artifact(_) => EntryKind::Artifact,
            Self::Note(_) => EntryKind::Note,
        }
    }

    /// Tells whether clients see the entry as a stream event.
    pub const fn is_event(&self) -> bool {
        // Client messages and notes use up a seq but reach no stream: ids on the wire have holes.
        matches!(self, Self::Status(_) | Self::Artifact(_))
    }

    /// The message that this entry adds to the task's history.
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(user) => Some(&user.message),
            Self::Status(change) => change.message.as_ref(),
            Self::Artifact(_) | Self::Note(_) => None,
        }
    }

    /// The artifact that this entry starts or replaces. Readers of the artifact start here.
    pub const fn starts_artifact(&self) -> Option<&ArtifactId> {
        match self {
            // An appended chunk means nothing without the chunks before it.
            Self::Artifact(update) if !update.append => Some(&update.artifact.artifact_id),
            _ => None,
        }
    }

    /// The change of status, if this entry is one.
    pub const fn status(&self) -> Option<&StatusChange> {
        match self {
            Self::Status(change) => Some(change),
            _ => None,
        }
    }

    /// Encodes the entry for a store, as JSON that SQL can read.
    ///
    /// # Panics
    ///
    /// It never does: JSON requires string keys, and domain values have no others.
    pub fn encode(&self) -> String {
        let encoded = match self {
            Self::Message(user) => return user.encode(),
            Self::Status(change) => serde_json::to_string(change),
            Self::Artifact(update) => serde_json::to_string(update),
            Self::Note(note) => serde_json::to_string(note),
        };
        encoded.expect("domain values have string keys and cannot fail to encode")
    }

    /// Decodes the output of [`encode`](Self::encode).
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
    use crate::FailureKind;
    use uuid::Uuid;

    #[test]
    fn absent_request_members_are_not_stored_and_may_be_missing() {
        let id = MessageId::new("m").unwrap();
        let mut user = UserMessage::new(Message::new(id, Role::User, vec![Part::text("hi")]));
        let plain = user.encode();
        let message = serde_json::to_string(&user.message).unwrap();
        assert_eq!(plain, format!(r#"{{"message":{message}}}"#));
        let read = |text: &str| EntryBody::decode(EntryKind::Message, text).unwrap();
        assert_eq!(read(&plain), EntryBody::Message(user.clone()));

        user.accepted_output_modes = vec!["text/plain".to_owned()];
        let with_modes = format!(r#"{{"message":{message},"acceptedOutputModes":["text/plain"]}}"#);
        assert_eq!(user.encode(), with_modes);
        assert_eq!(read(&with_modes), EntryBody::Message(user));
    }

    #[test]
    fn a_final_status_carries_the_failure() {
        let context = ContextId::new("c").unwrap();
        let id = || MessageId::new("m").unwrap();
        let task = TaskId::new(Uuid::from_u128(1));
        let failed = TaskFailure::new(FailureKind::Fatal, "no\0such file", 2);
        let EntryBody::Status(change) = failed.status(task, &context, None, id) else { panic!() };
        let message = change.message.unwrap();
        assert_eq!(message.text(), "no\u{fffd}such file");
        let failure = message.metadata.unwrap().get(extension::DURABILITY_EXTENSION).unwrap();
        assert_eq!(
            failure.as_str(),
            "{\"because\":\"fatal\",\"cause\":\"no\u{fffd}such file\",\"attempts\":2}"
        );
        assert_eq!(change.failed.unwrap().because, FailureKind::Fatal);
    }
}
