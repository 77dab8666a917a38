//! Message (A2A 4.1.4).

use super::{Each, V1, enums, part};
use crate::{
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    request::TaskRef,
    write::{Members, Shown},
};
use longhaul_domain::{ContextId, JsonObject, Message, MessageId};
use serde::{Serialize, Serializer};

/// A message with ids that it takes over where it has none of its own.
pub(super) struct Placed<'a> {
    pub message: &'a Message,
    pub task: Option<TaskRef>,
    pub context: Option<&'a ContextId>,
    /// In place of the message's own.
    pub metadata: Option<&'a JsonObject>,
}

impl<'a> Placed<'a> {
    pub fn new(
        message: &'a Message,
        task: Option<TaskRef>,
        context: Option<&'a ContextId>,
    ) -> Self {
        Self { message, task, context, metadata: message.metadata.as_ref() }
    }
}

impl Serialize for V1<'_, Message> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Placed::new(self.0, None, None).serialize(serializer)
    }
}

impl Serialize for Placed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let own_task = message.task_id.map(TaskRef::Known);
        let mut members = Members::open(serializer)?;
        members.put("messageId", message.message_id.as_str())?;
        let context = message.context_id.as_ref().or(self.context);
        members.maybe("contextId", context.map(ContextId::as_str))?;
        members.maybe("taskId", own_task.as_ref().or(self.task.as_ref()).map(Shown))?;
        members.put("role", enums::role_name(message.role))?;
        members.put("parts", &Each(&message.parts))?;
        members.maybe("metadata", self.metadata)?;
        members.list("extensions", &message.extensions)?;
        members.list("referenceTaskIds", &message.reference_task_ids)?;
        members.close()
    }
}

/// A message as it was read: the task id beside it, because it may be malformed or, before 1.0, chosen by the client.
pub(crate) struct ReadMessage {
    pub message: Message,
    pub task: Option<TaskRef>,
}

impl ReadMessage {
    /// The message with its task id in it, when that is well-formed.
    pub fn placed(mut self) -> Message {
        self.message.task_id = self.task.as_ref().and_then(TaskRef::id);
        self.message
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReadMessage> {
    let [id, context, task, role, parts, metadata, extensions, references] = object(
        raw,
        at,
        [
            "messageId",
            "contextId",
            "taskId",
            "role",
            "parts",
            "metadata",
            "extensions",
            "referenceTaskIds",
        ],
    )?;
    let id = id.required(at, scalar::id(MessageId::new));
    let context = context.optional(at, context_id).map(Option::flatten);
    let task = task.some_text(at);
    let role = role.required(at, enums::role);
    let parts = parts.list(at, part::read);
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    let references = references.list(at, scalar::text);
    let message = Message {
        message_id: id?,
        context_id: context?,
        task_id: None,
        role: role?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
        reference_task_ids: references?,
    };
    Ok(ReadMessage { message, task: task?.map(TaskRef::parse) })
}

/// A message of an answer.
pub(super) fn received(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Message> {
    read(raw, at).map(ReadMessage::placed)
}

/// A context id; an empty one is taken as absent.
pub(crate) fn context_id(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<ContextId>> {
    if raw.get() == "\"\"" {
        return Ok(None);
    }
    scalar::id(ContextId::new)(raw, at).map(Some)
}

/// A task id; it must be there, and may be malformed.
pub(super) fn task_ref(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    scalar::filled_text(raw, at).map(TaskRef::parse)
}
