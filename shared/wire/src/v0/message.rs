//! Message. References to other tasks have no place in `ProtoJSON`, and 0.1 knows parts and metadata only.

use super::{Cx, LegacyForm, V0, enums, part};
use crate::{
    chosen,
    raw::{Field, JsonPath, Parsed, RawJson, object, scalar},
    request::TaskRef,
    v1::{ReadMessage, context_id},
    write::{Members, Shown},
};
use longhaul_domain::{
    ContextId, JsonObject, Message, MessageId, Seq, ids::MAX_CLIENT_ID_BYTES,
    text::check_identifier,
};
use serde::{Serialize, Serializer};

/// A message with ids that it takes over where it has none of its own.
pub(super) struct Placed<'a> {
    pub cx: Cx<'a>,
    pub message: &'a Message,
    pub task: Option<TaskRef>,
    pub context: Option<&'a ContextId>,
    /// In place of the message's own.
    pub metadata: Option<&'a JsonObject>,
}

impl<'a> Placed<'a> {
    pub fn new(
        cx: Cx<'a>,
        message: &'a Message,
        task: Option<TaskRef>,
        context: Option<&'a ContextId>,
    ) -> Self {
        Self { cx, message, task, context, metadata: message.metadata.as_ref() }
    }
}

impl Serialize for V0<'_, Message> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Placed::new(self.cx, self.value, None, None).serialize(serializer)
    }
}

impl Serialize for Placed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, form) = (self.message, self.cx.form);
        let mut members = Members::open(serializer)?;
        if form.has_kind() {
            members.put("kind", "message")?;
        }
        if form != LegacyForm::V0_1 {
            let own_task = message.task_id.map(TaskRef::Known);
            members.put("messageId", message.message_id.as_str())?;
            let context = message.context_id.as_ref().or(self.context);
            members.maybe("contextId", context.map(ContextId::as_str))?;
            members.maybe("taskId", own_task.as_ref().or(self.task.as_ref()).map(Shown))?;
        }
        members.put("role", form.role_name(message.role))?;
        members.put(form.parts_name(), &self.cx.each(&message.parts))?;
        members.maybe("metadata", self.metadata)?;
        if form != LegacyForm::V0_1 {
            members.list("extensions", &message.extensions)?;
        }
        if form == LegacyForm::V0_3 {
            members.list("referenceTaskIds", &message.reference_task_ids)?;
        }
        members.close()
    }
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReadMessage> {
    let [id, context, task, role, metadata, extensions, references] = object(
        raw,
        at,
        ["messageId", "contextId", "taskId", "role", "metadata", "extensions", "referenceTaskIds"],
    )?;
    let parts = parts_of(form, raw, at)?;
    // In 0.1 messages have no id; what stands in for it is derived below.
    let id = match form {
        LegacyForm::V0_1 => id.optional(at, scalar::id(MessageId::new)),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => {
            id.required(at, scalar::id(MessageId::new)).map(Some)
        }
    };
    let context = context.optional(at, context_id).map(Option::flatten);
    let task = task.some_text(at);
    let role = role.required(at, |raw, at| enums::role(form, raw, at));
    let parts = parts.list(at, |raw, at| part::read(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    let references = references.list(at, scalar::text);
    let given = id?;
    let mut message = Message {
        message_id: given.clone().unwrap_or_else(chosen::no_name),
        context_id: context?,
        task_id: None,
        role: role?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
        reference_task_ids: references?,
    };
    if given.is_none() {
        chosen::name(&mut message, "", Seq::START);
    }
    Ok(ReadMessage { message, task: task?.map(|text| form.task_ref(text)) })
}

/// What a message holds, under the name of this form or of another.
pub(super) fn parts_of<'a>(
    form: LegacyForm,
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
) -> Parsed<Field<'a>> {
    let [parts, content] = object(raw, at, ["parts", "content"])?;
    let (own, other) =
        if form == LegacyForm::V0_3Proto { (content, parts) } else { (parts, content) };
    Ok(if own.present().is_none() && other.present().is_some() { other } else { own })
}

/// A message of an answer.
pub(super) fn received(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Message> {
    read(form, raw, at).map(ReadMessage::placed)
}

/// The id of a task; it must be there.
pub(super) fn task_ref(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let text = scalar::filled_text(raw, at)?;
    // An id that the client chose is kept, so it has the bounds of every such id.
    match check_identifier(&text, MAX_CLIENT_ID_BYTES) {
        Err(why) if form == LegacyForm::V0_1 => at.refuse(why.to_string()),
        _ => Ok(form.task_ref(text)),
    }
}
