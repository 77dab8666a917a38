//! Message, part and artifact. Only files have a name and a media type: those of other parts are not written.

use super::content;
use crate::{
    pb::v0::{self as pb, file_part::File, part::Part as Held},
    read::{context_id, each, filled, message_id, role, some_text, text},
    value,
    write::{self, Place},
};
use longhaul_domain::{Artifact, Content, Message, Part};
use longhaul_wire::{
    TaskRef, WireError,
    raw::{JsonPath, Parsed},
};

/// A message as it was read: the task id beside it, because it may be malformed.
pub(super) struct ReadMessage {
    pub message: Message,
    pub task: Option<TaskRef>,
}

pub(super) fn read(given: pb::Message, at: &JsonPath<'_>) -> Parsed<ReadMessage> {
    let id = message_id(given.message_id, &at.field("messageId"));
    let context = context_id(given.context_id, &at.field("contextId"));
    let task = some_text(given.task_id, &at.field("taskId"));
    let role = role(given.role, &at.field("role"));
    let parts = each(given.content, &at.field("content"), read_part);
    let metadata = value::maybe_object(given.metadata.as_ref(), &at.field("metadata"));
    let extensions = each(given.extensions, &at.field("extensions"), text);
    let message = Message {
        message_id: id?,
        context_id: context?,
        task_id: None,
        role: role?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
        reference_task_ids: Vec::new(),
    };
    Ok(ReadMessage { message, task: task?.map(TaskRef::parse) })
}

fn read_part(given: pb::Part, at: &JsonPath<'_>) -> Parsed<Part> {
    let (part, metadata) = match given.part {
        Some(Held::Text(held)) => (text(held, &at.field("text")).map(Part::text), given.metadata),
        Some(Held::File(held)) => (read_file(held, &at.field("file")), given.metadata),
        Some(Held::Data(held)) => {
            let (data, metadata) = content::unwrap(held.data.unwrap_or_default(), given.metadata);
            let (outer, inner) = (at.field("data"), "data");
            (value::json(&data, &outer.field(inner)).map(Part::data), metadata)
        }
        None => (at.refuse("has no content; set one of text, file and data"), given.metadata),
    };
    let metadata = value::maybe_object(metadata.as_ref(), &at.field("metadata"));
    Ok(Part { metadata: metadata?, ..part? })
}

fn read_file(given: pb::FilePart, at: &JsonPath<'_>) -> Parsed<Part> {
    let content = match given.file {
        Some(File::FileWithBytes(bytes)) => Ok(Content::Raw(bytes)),
        Some(File::FileWithUri(uri)) => filled(uri, &at.field("fileWithUri")).map(Content::Url),
        None => at.refuse("has no content; set its bytes or its URI"),
    };
    let filename = some_text(given.name, &at.field("name"));
    let media_type = some_text(given.mime_type, &at.field("mimeType"));
    Ok(Part { filename: filename?, media_type: media_type?, ..Part::new(content?) })
}

pub(super) fn message(
    message: &Message,
    place: Option<Place<'_>>,
) -> Result<pb::Message, WireError> {
    let (task_id, context_id) = write::ids(message, place);
    Ok(pb::Message {
        message_id: message.message_id.as_str().to_owned(),
        context_id,
        task_id,
        role: write::role(message.role),
        content: parts(&message.parts)?,
        metadata: write::metadata(message.metadata.as_ref()),
        extensions: message.extensions.clone(),
    })
}

fn parts(parts: &[Part]) -> Result<Vec<pb::Part>, WireError> {
    parts.iter().map(part).collect()
}

fn part(part: &Part) -> Result<pb::Part, WireError> {
    let metadata = write::metadata(part.metadata.as_ref());
    let (held, metadata) = match &part.content {
        Content::Text(text) => (Held::Text(text.clone()), metadata),
        Content::Raw(bytes) => (file(File::FileWithBytes(bytes.clone()), part), metadata),
        Content::Url(url) => (file(File::FileWithUri(url.clone()), part), metadata),
        Content::Data(json) => {
            let (data, metadata) = content::wrap(value::value(json), metadata);
            (Held::Data(pb::DataPart { data: Some(data) }), metadata)
        }
        Content::Blob(blob) => return Err(write::unresolved(blob)),
    };
    Ok(pb::Part { part: Some(held), metadata })
}

fn file(file: File, part: &Part) -> Held {
    Held::File(pb::FilePart {
        file: Some(file),
        mime_type: write::text(part.media_type.as_ref()),
        name: write::text(part.filename.as_ref()),
    })
}

pub(super) fn artifact(artifact: &Artifact) -> Result<pb::Artifact, WireError> {
    Ok(pb::Artifact {
        artifact_id: artifact.artifact_id.as_str().to_owned(),
        name: write::text(artifact.name.as_ref()),
        description: write::text(artifact.description.as_ref()),
        parts: parts(&artifact.parts)?,
        metadata: write::metadata(artifact.metadata.as_ref()),
        extensions: artifact.extensions.clone(),
    })
}
