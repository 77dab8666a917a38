//! Messages, parts and artifacts (A2A 4.1.4, 4.1.6, 4.1.7).

use crate::{
    pb::v1::{self as pb, part::Content as Held},
    read::{ParsedMessage, context_id, list, message_id, optional_text, required_text, role, text},
    value,
    write::{self, EnclosingTask},
};
use longhaul_domain::{Artifact, Content, Message, Part};
use longhaul_wire::{
    TaskRef, WireError,
    raw::{JsonPath, Parsed},
};

pub(super) fn read(given: pb::Message, at: &JsonPath<'_>) -> Parsed<ParsedMessage> {
    let id = message_id(given.message_id, &at.field("messageId"));
    let context = context_id(given.context_id, &at.field("contextId"));
    let task = optional_text(given.task_id, &at.field("taskId"));
    let role = role(given.role, &at.field("role"));
    let parts = list(given.parts, &at.field("parts"), read_part);
    let metadata = value::maybe_object(given.metadata.as_ref(), &at.field("metadata"));
    let extensions = list(given.extensions, &at.field("extensions"), text);
    let references = list(given.reference_task_ids, &at.field("referenceTaskIds"), text);
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
    Ok(ParsedMessage { message, task: task?.map(TaskRef::parse) })
}

fn read_part(given: pb::Part, at: &JsonPath<'_>) -> Parsed<Part> {
    let content = match given.content {
        Some(Held::Text(given)) => text(given, &at.field("text")).map(Content::Text),
        // Shares the buffer of the request.
        Some(Held::Raw(bytes)) => Ok(Content::Raw(bytes)),
        Some(Held::Url(given)) => required_text(given, &at.field("url")).map(Content::Url),
        Some(Held::Data(given)) => value::json(&given, &at.field("data")).map(Content::Data),
        None => at.refuse("has no content; set one of text, raw, url and data"),
    };
    let metadata = value::maybe_object(given.metadata.as_ref(), &at.field("metadata"));
    let filename = optional_text(given.filename, &at.field("filename"));
    let media_type = optional_text(given.media_type, &at.field("mediaType"));
    Ok(Part {
        content: content?,
        metadata: metadata?,
        filename: filename?,
        media_type: media_type?,
    })
}

pub(super) fn message(
    message: &Message,
    enclosing: Option<EnclosingTask<'_>>,
) -> Result<pb::Message, WireError> {
    let (task_id, context_id) = write::ids(message, enclosing);
    Ok(pb::Message {
        message_id: message.message_id.as_str().to_owned(),
        context_id,
        task_id,
        role: write::role(message.role),
        parts: parts(&message.parts)?,
        metadata: write::metadata(message.metadata.as_ref()),
        extensions: message.extensions.clone(),
        reference_task_ids: message.reference_task_ids.clone(),
    })
}

fn parts(parts: &[Part]) -> Result<Vec<pb::Part>, WireError> {
    parts.iter().map(part).collect()
}

fn part(part: &Part) -> Result<pb::Part, WireError> {
    let content = match &part.content {
        Content::Text(text) => Held::Text(text.clone()),
        Content::Raw(bytes) => Held::Raw(bytes.clone()),
        Content::Url(url) => Held::Url(url.clone()),
        Content::Data(json) => Held::Data(value::value(json)),
        Content::Blob(blob) => return Err(write::unresolved(blob)),
    };
    Ok(pb::Part {
        content: Some(content),
        metadata: write::metadata(part.metadata.as_ref()),
        filename: write::text(part.filename.as_ref()),
        media_type: write::text(part.media_type.as_ref()),
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
