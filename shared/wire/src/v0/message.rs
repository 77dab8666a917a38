//! Messages, artifacts, states and roles before 1.0. `ProtoJSON` has no task references; 0.1 has
//! only parts and metadata, and identifies an artifact by its index within the task. States and
//! roles are read in every spelling and written in that of the form.

use super::{LegacyForm, V0, WriteContext, part};
use crate::{
    TaskRef,
    raw::{JsonField, JsonPath, Parsed, RawJson, Violations, object, scalar, scalar::enumeration},
    task_ref,
    v1::{ParsedMessage, ROLES, STATES, context_id, count},
    write::{DisplayString, ObjectWriter},
};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, ContextId, JsonObject, Message, MessageId, Role, Seq,
    TaskState, ids::MAX_CLIENT_ID_BYTES, text::check_identifier,
};
use serde::{Serialize, Serializer};

/// Message that takes missing ids from its task.
pub(super) struct MessageInTask<'a> {
    pub cx: WriteContext<'a>,
    pub message: &'a Message,
    pub task: Option<TaskRef>,
    pub context: Option<&'a ContextId>,
    /// Metadata to write instead of the message's own.
    pub metadata: Option<&'a JsonObject>,
}

impl<'a> MessageInTask<'a> {
    pub fn new(
        cx: WriteContext<'a>,
        message: &'a Message,
        task: Option<TaskRef>,
        context: Option<&'a ContextId>,
    ) -> Self {
        Self { cx, message, task, context, metadata: message.metadata.as_ref() }
    }
}

impl Serialize for V0<'_, Message> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MessageInTask::new(self.cx, self.value, None, None).serialize(serializer)
    }
}

impl Serialize for MessageInTask<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, form) = (self.message, self.cx.form);
        let mut members = ObjectWriter::open(serializer)?;
        if form.has_kind() {
            members.put("kind", "message")?;
        }
        if form != LegacyForm::V0_1 {
            let own_task = message.task_id.map(TaskRef::Known);
            members.put("messageId", message.message_id.as_str())?;
            let context = message.context_id.as_ref().or(self.context);
            members.put_some("contextId", context.map(ContextId::as_str))?;
            members
                .put_some("taskId", own_task.as_ref().or(self.task.as_ref()).map(DisplayString))?;
        }
        members.put("role", form.role_name(message.role))?;
        members.put(form.parts_name(), &self.cx.wrap_all(&message.parts))?;
        members.put_some("metadata", self.metadata)?;
        if form != LegacyForm::V0_1 {
            members.put_list("extensions", &message.extensions)?;
        }
        if form == LegacyForm::V0_3 {
            members.put_list("referenceTaskIds", &message.reference_task_ids)?;
        }
        members.close()
    }
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ParsedMessage> {
    let [id, context, task, role, metadata, extensions, references] = object(
        raw,
        at,
        ["messageId", "contextId", "taskId", "role", "metadata", "extensions", "referenceTaskIds"],
    )?;
    let parts = parts_of(form, raw, at)?;
    // Messages of 0.1 have no id; one is derived below.
    let id = match form {
        LegacyForm::V0_1 => id.optional(at, scalar::id(MessageId::new)),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => {
            id.required(at, scalar::id(MessageId::new)).map(Some)
        }
    };
    let context = context.optional(at, context_id).map(Option::flatten);
    let task = task.optional_text(at);
    let role = role.required(at, |raw, at| read_role(form, raw, at));
    let parts = parts.list(at, |raw, at| part::read(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    let references = references.list(at, scalar::text);
    let given = id?;
    let mut message = Message {
        message_id: given.clone().unwrap_or_else(task_ref::placeholder_id),
        context_id: context?,
        task_id: None,
        role: role?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
        reference_task_ids: references?,
    };
    // Provisional: a send assigns the final id with its task.
    if given.is_none() {
        task_ref::assign_message_id(&mut message, "", Seq::START);
    }
    Ok(ParsedMessage { message, task: task?.map(|text| form.task_ref(text)) })
}

/// Finds the parts of a message under the name of any form.
pub(super) fn parts_of<'a>(
    form: LegacyForm,
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
) -> Parsed<JsonField<'a>> {
    let [parts, content] = object(raw, at, ["parts", "content"])?;
    // The form's own name takes precedence if a peer sends both.
    let (own, other) =
        if form == LegacyForm::V0_3Proto { (content, parts) } else { (parts, content) };
    Ok(if own.present().is_none() && other.present().is_some() { other } else { own })
}

/// Reads a message of a response.
pub(super) fn read_received(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<Message> {
    read(form, raw, at).map(ParsedMessage::into_message)
}

/// Reads a required task id.
pub(super) fn task_ref(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let text = scalar::non_empty_text(raw, at)?;
    // A client-chosen id is stored, so the limits of such ids apply.
    match check_identifier(&text, MAX_CLIENT_ID_BYTES) {
        Err(why) if form == LegacyForm::V0_1 => at.refuse(why.to_string()),
        _ => Ok(form.task_ref(text)),
    }
}

/// Artifact with its index within the task, whole or as a chunk.
pub(super) struct IndexedArtifact<'a> {
    pub cx: WriteContext<'a>,
    pub artifact: &'a Artifact,
    pub index: usize,
    /// Chunk flags; in 0.1 the artifact itself carries them.
    pub chunk: Option<&'a ArtifactUpdate>,
}

impl Serialize for IndexedArtifact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (artifact, first) = (self.artifact, self.cx.form == LegacyForm::V0_1);
        let mut members = ObjectWriter::open(serializer)?;
        if !first {
            members.put("artifactId", artifact.artifact_id.as_str())?;
        }
        members.put_some("name", artifact.name.as_ref())?;
        members.put_some("description", artifact.description.as_ref())?;
        members.put("parts", &self.cx.wrap_all(&artifact.parts))?;
        members.put_some("metadata", artifact.metadata.as_ref())?;
        if first {
            members.put("index", &self.index)?;
            members.put_flag("append", self.chunk.is_some_and(|chunk| chunk.append))?;
            members.put_flag("lastChunk", self.chunk.is_some_and(|chunk| chunk.last_chunk))?;
        } else {
            members.put_list("extensions", &artifact.extensions)?;
        }
        members.close()
    }
}

/// Parsed artifact, with the chunk flags that 0.1 puts into it.
pub(super) struct ParsedArtifact {
    pub artifact: Artifact,
    pub append: bool,
    pub last_chunk: bool,
}

pub(super) fn read_artifact(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<ParsedArtifact> {
    let [id, name, description, parts, metadata, extensions] =
        object(raw, at, ["artifactId", "name", "description", "parts", "metadata", "extensions"])?;
    let [index, append, last_chunk] = object(raw, at, ["index", "append", "lastChunk"])?;
    let id = match form {
        LegacyForm::V0_1 => index
            .optional(at, |raw, at| count(raw, at, 0, i32::MAX.unsigned_abs()))
            .and_then(|index| artifact_id_from_index(at, index.unwrap_or_default())),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => id.required(at, scalar::id(ArtifactId::new)),
    };
    let name = name.optional_text(at);
    let description = description.optional_text(at);
    let parts = parts.list(at, |raw, at| part::read(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    let append = append.flag(at);
    let last_chunk = last_chunk.flag(at);
    let artifact = Artifact {
        artifact_id: id?,
        name: name?,
        description: description?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
    };
    Ok(ParsedArtifact { artifact, append: append?, last_chunk: last_chunk? })
}

/// Artifact id that stands for an index of 0.1.
fn artifact_id_from_index(at: &JsonPath<'_>, index: u32) -> Parsed<ArtifactId> {
    ArtifactId::new(format!("artifact-{index}")).or_else(|why| at.refuse(why.to_string()))
}

/// Reads a state; `None` if unspecified. The state `unknown` of 0.3 is refused, since no task can
/// be in it.
pub(super) fn read_state(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<Option<TaskState>> {
    let scratch = Violations::default();
    enumeration(raw, &JsonPath::root(&scratch), "TASK_STATE_", &STATES).or_else(|_| {
        let mut names: Vec<&str> = TaskState::ALL.map(|state| form.state_name(state)).to_vec();
        names.sort_unstable();
        names.dedup();
        at.refuse(format!("must be one of {}", names.join(", ")))
    })
}

/// Reads a specified state.
pub(super) fn read_required_state(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<TaskState> {
    read_state(form, raw, at)?.map_or_else(|| at.refuse("must be a state that is known"), Ok)
}

fn read_role(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Role> {
    let scratch = Violations::default();
    let read = enumeration(raw, &JsonPath::root(&scratch), "ROLE_", &ROLES).ok().flatten();
    read.map_or_else(
        || {
            let [user, agent] = [Role::User, Role::Agent].map(|role| form.role_name(role));
            at.refuse(format!("must be {user} or {agent}"))
        },
        Ok,
    )
}
