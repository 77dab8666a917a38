//! Messages, parts and artifacts (A2A 4.1.4, 4.1.6, 4.1.7), with task states and roles (A2A 4.1.3,
//! 4.1.5).

use super::{Each, V1};
use crate::{
    TaskRef,
    raw::{JsonField, JsonPath, Parsed, RawJson, object, scalar, scalar::enumeration},
    write::{Base64, DisplayString, ObjectWriter},
};
use longhaul_domain::{
    Artifact, ArtifactId, Content, ContextId, JsonObject, Message, MessageId, Part, Role, TaskState,
};
use serde::{Serialize, Serializer, ser::Error};

/// Message that takes missing ids from its task.
pub(super) struct MessageInTask<'a> {
    pub message: &'a Message,
    pub task: Option<TaskRef>,
    pub context: Option<&'a ContextId>,
    /// Metadata to write instead of the message's own.
    pub metadata: Option<&'a JsonObject>,
}

impl<'a> MessageInTask<'a> {
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
        MessageInTask::new(self.0, None, None).serialize(serializer)
    }
}

impl Serialize for MessageInTask<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let own_task = message.task_id.map(TaskRef::Known);
        let mut members = ObjectWriter::open(serializer)?;
        members.put("messageId", message.message_id.as_str())?;
        let context = message.context_id.as_ref().or(self.context);
        members.put_some("contextId", context.map(ContextId::as_str))?;
        members.put_some("taskId", own_task.as_ref().or(self.task.as_ref()).map(DisplayString))?;
        members.put("role", role_name(message.role))?;
        members.put("parts", &Each(&message.parts))?;
        members.put_some("metadata", self.metadata)?;
        members.put_list("extensions", &message.extensions)?;
        members.put_list("referenceTaskIds", &message.reference_task_ids)?;
        members.close()
    }
}

/// Parsed message. The task id stands apart, since it may be malformed or, before 1.0,
/// client-chosen.
pub(crate) struct ParsedMessage {
    pub message: Message,
    pub task: Option<TaskRef>,
}

impl ParsedMessage {
    /// Returns the message with its task id, if that is well-formed.
    pub fn into_message(mut self) -> Message {
        self.message.task_id = self.task.as_ref().and_then(TaskRef::id);
        self.message
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ParsedMessage> {
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
    let task = task.optional_text(at);
    let role = role.required(at, read_role);
    let parts = parts.list(at, read_part);
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    let references = references.list(at, scalar::text);
    let message = Message {
        message_id: id?,
        context_id: context?,
        // The task id stays apart: a malformed one must end as "not found".
        task_id: None,
        role: role?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
        reference_task_ids: references?,
    };
    Ok(ParsedMessage { message, task: task?.map(TaskRef::parse) })
}

/// Reads a message of a response.
pub(super) fn read_received(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Message> {
    read(raw, at).map(ParsedMessage::into_message)
}

/// Reads a context id; an empty one counts as absent.
pub(crate) fn context_id(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<ContextId>> {
    if raw.get() == "\"\"" {
        return Ok(None);
    }
    scalar::id(ContextId::new)(raw, at).map(Some)
}

/// Reads a required task id, which may be malformed.
pub(super) fn task_ref(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    scalar::non_empty_text(raw, at).map(TaskRef::parse)
}

impl Serialize for V1<'_, Part> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        match &self.0.content {
            Content::Text(text) => members.put("text", text)?,
            Content::Raw(bytes) => members.put("raw", &Base64(bytes))?,
            Content::Url(url) => members.put("url", url)?,
            Content::Data(json) => members.put("data", json)?,
            // The service puts stored contents back inline before anything is written.
            Content::Blob(blob) => {
                return Err(S::Error::custom(format_args!("blob {} is not inline", blob.hash)));
            }
        }
        members.put_some("metadata", self.0.metadata.as_ref())?;
        members.put_some("filename", self.0.filename.as_ref())?;
        members.put_some("mediaType", self.0.media_type.as_ref())?;
        members.close()
    }
}

fn read_part(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Part> {
    let [text, bytes, url, data, metadata, filename, media_type] =
        object(raw, at, ["text", "raw", "url", "data", "metadata", "filename", "mediaType"])?;
    let content = read_content(at, [text, bytes, url, data]);
    let metadata = metadata.optional(at, scalar::json_object);
    let filename = filename.optional_text(at);
    let media_type = media_type.optional_text(at);
    Ok(Part {
        content: content?,
        metadata: metadata?,
        filename: filename?,
        media_type: media_type?,
    })
}

/// Reads exactly one content. A lone `data: null` is a value; beside another content it counts as
/// absent.
fn read_content(at: &JsonPath<'_>, fields: [JsonField<'_>; 4]) -> Parsed<Content> {
    let [text, bytes, url, data] = fields;
    let given = fields.iter().filter(|field| field.present().is_some()).count();
    match (given, data.given()) {
        // `data` is present and null.
        (0, Some(null)) => Ok(Content::Data(scalar::json(null, &at.field(data.name()))?)),
        (0, None) => at.refuse("has no content; set one of text, raw, url and data"),
        (1, _) => {
            let text = text.optional(at, scalar::text)?.map(Content::Text);
            let bytes = bytes.optional(at, scalar::bytes)?.map(|b| Content::Raw(b.into()));
            let url = url.optional(at, scalar::non_empty_text)?.map(Content::Url);
            let data = data.optional(at, scalar::json)?.map(Content::Data);
            let content = text.or(bytes).or(url).or(data);
            content.map_or_else(|| at.refuse("has no content"), Ok)
        }
        _ => at.refuse("has more than one content; set only one of text, raw, url and data"),
    }
}

impl Serialize for V1<'_, Artifact> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let artifact = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        members.put("artifactId", artifact.artifact_id.as_str())?;
        members.put_some("name", artifact.name.as_ref())?;
        members.put_some("description", artifact.description.as_ref())?;
        members.put("parts", &Each(&artifact.parts))?;
        members.put_some("metadata", artifact.metadata.as_ref())?;
        members.put_list("extensions", &artifact.extensions)?;
        members.close()
    }
}

pub(super) fn read_artifact(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Artifact> {
    let [id, name, description, parts, metadata, extensions] =
        object(raw, at, ["artifactId", "name", "description", "parts", "metadata", "extensions"])?;
    let id = id.required(at, scalar::id(ArtifactId::new));
    let name = name.optional_text(at);
    let description = description.optional_text(at);
    let parts = parts.list(at, read_part);
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    Ok(Artifact {
        artifact_id: id?,
        name: name?,
        description: description?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
    })
}

/// Protocol name of a state.
pub const fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Submitted => "TASK_STATE_SUBMITTED",
        TaskState::Working => "TASK_STATE_WORKING",
        TaskState::Completed => "TASK_STATE_COMPLETED",
        TaskState::Failed => "TASK_STATE_FAILED",
        TaskState::Canceled => "TASK_STATE_CANCELED",
        TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
        TaskState::Rejected => "TASK_STATE_REJECTED",
        TaskState::AuthRequired => "TASK_STATE_AUTH_REQUIRED",
    }
}

/// Protocol name of a role.
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "ROLE_USER",
        Role::Agent => "ROLE_AGENT",
    }
}

/// States by number and name; the last row is an older dialect's spelling.
pub(crate) const STATES: [(TaskState, i64, &str); 9] = [
    (TaskState::Submitted, 1, "SUBMITTED"),
    (TaskState::Working, 2, "WORKING"),
    (TaskState::Completed, 3, "COMPLETED"),
    (TaskState::Failed, 4, "FAILED"),
    (TaskState::Canceled, 5, "CANCELED"),
    (TaskState::InputRequired, 6, "INPUT_REQUIRED"),
    (TaskState::Rejected, 7, "REJECTED"),
    (TaskState::AuthRequired, 8, "AUTH_REQUIRED"),
    (TaskState::Canceled, 5, "CANCELLED"),
];

/// Roles by number and name.
pub(crate) const ROLES: [(Role, i64, &str); 2] =
    [(Role::User, 1, "USER"), (Role::Agent, 2, "AGENT")];

/// Reads a state; `None` if unspecified.
pub(super) fn read_state(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<TaskState>> {
    enumeration(raw, at, "TASK_STATE_", &STATES)
}

/// Reads a specified state.
pub(super) fn read_required_state(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskState> {
    read_state(raw, at)?.map_or_else(|| at.refuse("must not be unspecified"), Ok)
}

fn read_role(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Role> {
    let role = enumeration(raw, at, "ROLE_", &ROLES)?;
    role.map_or_else(|| at.refuse("must be ROLE_USER or ROLE_AGENT, not unspecified"), Ok)
}
