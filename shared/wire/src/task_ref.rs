//! Task references as clients write them, and the derived ids of A2A 0.1, where clients choose task
//! ids and send messages without ids.
//!
//! A chosen id maps to a derived task id. A retry names the same task, through any node and after
//! any crash, and equal ids of two owners never meet. Nothing is stored for the mapping; responses
//! show the id that the client chose. A message without an id gets one derived from task, content
//! and conversation turn: a retry is a duplicate, while the same words after a new question are a
//! new message.

use longhaul_domain::{
    BlobHash, Message, MessageId, OwnerId, Seq, TaskId, ids::MAX_CLIENT_ID_BYTES,
    text::check_identifier,
};
use std::fmt;
use uuid::Uuid;

/// Task id as a client wrote it. A malformed id names no task: like an unknown one, it ends as "not
/// found".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TaskRef {
    /// Well-formed task id.
    Known(TaskId),
    /// Malformed id as written; never empty.
    Malformed(String),
    /// Client-chosen id of A2A 0.1, never empty. It maps to [`client_task_id`], a task that may not
    /// exist yet.
    Chosen(String),
}

impl TaskRef {
    /// Parses a task id of 0.3 or 1.0.
    pub fn parse(text: impl Into<String>) -> Self {
        let text = text.into();
        text.parse().map_or(Self::Malformed(text), Self::Known)
    }
    /// Parses a task id of 0.1, where clients choose ids. Ids that only this server makes stay task
    /// ids: UUIDs of version 7 and of the derived version. An id outside the bounds of
    /// client-chosen ids is malformed.
    pub fn parse_client_id(text: String) -> Self {
        if check_identifier(&text, MAX_CLIENT_ID_BYTES).is_err() {
            return Self::Malformed(text);
        }
        let own = text.parse::<TaskId>().ok().filter(|id| {
            matches!(id.uuid().get_version_num(), 7 | DERIVED_UUID_VERSION)
                // Other spellings, such as upper case, are client-chosen ids.
                && id.to_string() == text
        });
        own.map_or(Self::Chosen(text), Self::Known)
    }
    /// Task id, if well-formed.
    pub const fn id(&self) -> Option<TaskId> {
        match self {
            Self::Known(id) => Some(*id),
            Self::Malformed(_) | Self::Chosen(_) => None,
        }
    }
    /// Task id that this reference means for an owner; `None` if malformed.
    pub fn resolve(&self, owner: OwnerId) -> Option<TaskId> {
        match self {
            Self::Known(id) => Some(*id),
            Self::Malformed(_) => None,
            Self::Chosen(text) => Some(client_task_id(owner, text)),
        }
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(id) => id.fmt(f),
            Self::Malformed(text) | Self::Chosen(text) => f.write_str(text),
        }
    }
}

impl From<TaskId> for TaskRef {
    fn from(id: TaskId) -> Self {
        Self::Known(id)
    }
}

/// Namespace of derived task ids.
const TASK_NAMESPACE: &str = "longhaul:a2a-0.1:task";
const MESSAGE_NAMESPACE: &str = "longhaul:a2a-0.1:message";

/// Derives the task id (a `UUIDv8`) for an id that an owner's client chose.
pub fn client_task_id(owner: OwnerId, chosen: &str) -> TaskId {
    // Identifiers cannot contain NUL, so owner and id are unambiguous.
    TaskId::new(derive(format!("{TASK_NAMESPACE}\0{}\0{chosen}", owner.0).as_bytes()))
}

/// Assigns a derived id to a message that came without one. An id that the author gave stays.
///
/// `chosen` is the task id as the client wrote it. `turn` is the log position of the last parking
/// status, or [`Seq::START`] before the first one. Until the task parks again, a repeated message
/// derives the same id, even after the task ends; afterwards the same words are a new message.
/// Contents must be inline.
pub fn assign_message_id(message: &mut Message, chosen: &str, turn: Seq) {
    if !is_derived(&message.message_id) {
        return;
    }
    // Domain values have string keys, so encoding cannot fail.
    let content = (message.role, &message.parts, &message.metadata);
    let content = serde_json::to_string(&content).unwrap_or_default();
    let id = derive(format!("{MESSAGE_NAMESPACE}\0{chosen}\0{turn}\0{content}").as_bytes());
    message.message_id = MessageId::from(id);
}

/// Tells if an id was derived by [`assign_message_id`].
pub fn is_derived(id: &MessageId) -> bool {
    // Derived ids are always hyphenated; other forms come from clients.
    id.as_str().len() == 36
        && Uuid::try_parse(id.as_str()).is_ok_and(|id| id.get_version_num() == DERIVED_UUID_VERSION)
}

/// UUID version of derived ids.
const DERIVED_UUID_VERSION: usize = 8;

/// Id of a message that awaits [`assign_message_id`].
pub(crate) fn placeholder_id() -> MessageId {
    MessageId::from(derive(MESSAGE_NAMESPACE.as_bytes()))
}

fn derive(bytes: &[u8]) -> Uuid {
    let hash = BlobHash::digest(bytes).0;
    let mut first = [0; 16];
    // A UUID holds the first 128 bits of the hash, less version and variant.
    first.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(first).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{Part, Role};

    fn derived_id(text: &str, chosen: &str, turn: i64) -> MessageId {
        let mut message = Message::new(placeholder_id(), Role::User, vec![Part::text(text)]);
        assign_message_id(&mut message, chosen, Seq(turn));
        message.message_id
    }

    #[test]
    fn a_client_chosen_id_always_means_the_same_task_of_its_owner() {
        let id = client_task_id(OwnerId(4), "order-7");
        assert_eq!(id, client_task_id(OwnerId(4), "order-7"));
        assert_eq!(id.to_string(), "a17a9c77-8966-84d7-a843-f3f08e616e9e");
        assert_ne!(id, client_task_id(OwnerId(5), "order-7"));
        assert_ne!(id, client_task_id(OwnerId(4), "order-8"));
        assert_ne!(client_task_id(OwnerId(1), "2"), client_task_id(OwnerId(12), ""));
    }

    #[test]
    fn equal_messages_are_duplicates_until_the_task_asks_again() {
        let yes = derived_id("yes", "t", 5);
        assert_eq!(yes, derived_id("yes", "t", 5));
        assert_ne!(yes, derived_id("yes", "t", 9));
        assert_ne!(yes, derived_id("no", "t", 5));
        assert_ne!(yes, derived_id("yes", "u", 5));
    }

    #[test]
    fn an_id_that_the_author_gave_stays() {
        let id = MessageId::new("mine").unwrap();
        let mut message = Message::new(id.clone(), Role::User, vec![Part::text("t")]);
        assign_message_id(&mut message, "t", Seq(1));
        assert_eq!(message.message_id, id);
    }

    #[test]
    fn ids_of_the_server_are_not_client_chosen() {
        let own = "018f2f6e-7b7a-7000-8000-000000000001";
        assert!(matches!(TaskRef::parse_client_id(own.to_owned()), TaskRef::Known(_)));
        let derived = client_task_id(OwnerId(1), "t").to_string();
        assert!(matches!(TaskRef::parse_client_id(derived), TaskRef::Known(_)));
        for text in ["order-7", "9f1e2d3c-4b5a-4968-8776-655443322110", &own.to_uppercase()] {
            let chosen = TaskRef::parse_client_id(text.to_owned());
            assert_eq!(chosen, TaskRef::Chosen(text.to_owned()));
            assert_eq!(chosen.id(), None);
        }
    }

    #[test]
    fn a_malformed_task_id_is_kept_as_written() {
        assert_eq!(TaskRef::parse("nope"), TaskRef::Malformed("nope".to_owned()));
        let id = "018f2f6e-7b7a-7000-8000-000000000001";
        assert_eq!(TaskRef::parse(id).id().map(|id| id.to_string()).as_deref(), Some(id));
    }
}
