//! Ids of A2A 0.1, where clients choose those of tasks and messages have none.
//!
//! A task id that a client chose stands for one of ours that follows from it: whoever sends it again, through whatever node
//! and after whatever crash, means the same task, and two owners who choose the same text never meet. Nothing is stored for
//! this; answers show the id that was asked for. A message is given an id that follows from its task, its content and the
//! turn of the conversation: sent twice it is one message, and said again when the task asks again it is another.

use longhaul_domain::{BlobHash, Message, MessageId, OwnerId, Seq, TaskId};
use uuid::Uuid;

/// Keeps what is derived here apart from anything else that is derived from the same text.
const TASK: &str = "longhaul:a2a-0.1:task";
const MESSAGE: &str = "longhaul:a2a-0.1:message";

/// The task that an owner's chosen id stands for: a `UUIDv8`.
pub fn task_id(owner: OwnerId, chosen: &str) -> TaskId {
    TaskId::new(derive(format!("{TASK}\0{}\0{chosen}", owner.0).as_bytes()))
}

/// Gives a message that came without an id the one that follows from it. An id that its author gave stays.
///
/// `chosen` is the task as the client named it; `turn` is the place in its log of the last status that parked it,
/// [`Seq::START`] when it never was parked or does not exist yet. As long as the task does not ask again, a repeat of the
/// message is recognised by its id, also when the task has gone on or ended; after it has asked again, the same words are a new
/// answer. Contents must be inline.
pub fn name(message: &mut Message, chosen: &str, turn: Seq) {
    if !is_derived(&message.message_id) {
        return;
    }
    // Domain values have string keys and always encode.
    let said = (message.role, &message.parts, &message.metadata);
    let said = serde_json::to_string(&said).unwrap_or_default();
    let id = derive(format!("{MESSAGE}\0{chosen}\0{turn}\0{said}").as_bytes());
    message.message_id = MessageId::from(id);
}

/// Whether an id is of the kind that [`name`] gives.
pub fn is_derived(id: &MessageId) -> bool {
    id.as_str().len() == 36
        && Uuid::try_parse(id.as_str()).is_ok_and(|id| id.get_version_num() == DERIVED)
}

/// Version of the UUIDs that are derived.
pub(crate) const DERIVED: usize = 8;

/// The id of a message that is still to be named.
pub(crate) fn no_name() -> MessageId {
    MessageId::from(derive(MESSAGE.as_bytes()))
}

fn derive(bytes: &[u8]) -> Uuid {
    let hash = BlobHash::of(bytes).0;
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(first).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskRef;
    use longhaul_domain::{Part, Role};

    fn said(text: &str, chosen: &str, turn: i64) -> MessageId {
        let mut message = Message::new(no_name(), Role::User, vec![Part::text(text)]);
        name(&mut message, chosen, Seq(turn));
        message.message_id
    }

    #[test]
    fn a_chosen_id_means_one_task_of_one_owner_for_ever() {
        let id = task_id(OwnerId(4), "order-7");
        assert_eq!(id, task_id(OwnerId(4), "order-7"));
        assert_eq!(id.to_string(), "a17a9c77-8966-84d7-a843-f3f08e616e9e");
        assert_ne!(id, task_id(OwnerId(5), "order-7"));
        assert_ne!(id, task_id(OwnerId(4), "order-8"));
        assert_ne!(task_id(OwnerId(1), "2"), task_id(OwnerId(12), ""));
    }

    #[test]
    fn the_same_words_are_one_message_until_the_task_asks_again() {
        let yes = said("yes", "t", 5);
        assert_eq!(yes, said("yes", "t", 5));
        assert_ne!(yes, said("yes", "t", 9));
        assert_ne!(yes, said("no", "t", 5));
        assert_ne!(yes, said("yes", "u", 5));
    }

    #[test]
    fn an_id_that_the_author_gave_stays() {
        let id = MessageId::new("mine").unwrap();
        let mut message = Message::new(id.clone(), Role::User, vec![Part::text("t")]);
        name(&mut message, "t", Seq(1));
        assert_eq!(message.message_id, id);
    }

    #[test]
    fn ids_of_the_server_are_no_chosen_ones() {
        let own = "018f2f6e-7b7a-7000-8000-000000000001";
        assert!(matches!(TaskRef::chosen(own.to_owned()), TaskRef::Known(_)));
        let derived = task_id(OwnerId(1), "t").to_string();
        assert!(matches!(TaskRef::chosen(derived), TaskRef::Known(_)));
        for text in ["order-7", "9f1e2d3c-4b5a-4968-8776-655443322110", &own.to_uppercase()] {
            let chosen = TaskRef::chosen(text.to_owned());
            assert_eq!(chosen, TaskRef::Chosen(text.to_owned()));
            assert_eq!(chosen.id(), None);
        }
    }
}
