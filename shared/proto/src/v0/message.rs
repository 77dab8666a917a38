//! Messages, parts and artifacts. Only files have a name and a media type; those of other parts are
//! omitted. Data that is not an object is wrapped in one, and a marker in the part's metadata says
//! so.

use crate::{
    pb::v0::{self as pb, file_part::File, part::Part as Held},
    read::{ParsedMessage, context_id, list, message_id, optional_text, required_text, role, text},
    value,
    write::{self, EnclosingTask},
};
use longhaul_domain::{Artifact, Content, Message, Part};
use longhaul_wire::{
    TaskRef, WireError,
    raw::{JsonPath, Parsed},
};
use prost_types::{Struct, Value, value::Kind};

pub(super) fn read(given: pb::Message, at: &JsonPath<'_>) -> Parsed<ParsedMessage> {
    let id = message_id(given.message_id, &at.field("messageId"));
    let context = context_id(given.context_id, &at.field("contextId"));
    let task = optional_text(given.task_id, &at.field("taskId"));
    let role = role(given.role, &at.field("role"));
    let parts = list(given.content, &at.field("content"), read_part);
    let metadata = value::maybe_object(given.metadata.as_ref(), &at.field("metadata"));
    let extensions = list(given.extensions, &at.field("extensions"), text);
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
    Ok(ParsedMessage { message, task: task?.map(TaskRef::parse) })
}

fn read_part(given: pb::Part, at: &JsonPath<'_>) -> Parsed<Part> {
    let (part, metadata) = match given.part {
        Some(Held::Text(held)) => (text(held, &at.field("text")).map(Part::text), given.metadata),
        Some(Held::File(held)) => (read_file(held, &at.field("file")), given.metadata),
        Some(Held::Data(held)) => {
            let (data, metadata) = unwrap_data(held.data.unwrap_or_default(), given.metadata);
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
        Some(File::FileWithUri(uri)) => {
            required_text(uri, &at.field("fileWithUri")).map(Content::Url)
        }
        None => at.refuse("has no content; set its bytes or its URI"),
    };
    let filename = optional_text(given.name, &at.field("name"));
    let media_type = optional_text(given.mime_type, &at.field("mimeType"));
    Ok(Part { filename: filename?, media_type: media_type?, ..Part::new(content?) })
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
            let (data, metadata) = wrap_data(value::value(json), metadata);
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

/// Metadata member that marks wrapped data.
const WRAPPED_MARKER: &str = "data_part_compat";
const VALUE_MEMBER: &str = "value";

/// Wraps a value into an object, unless it is one, and marks the metadata.
fn wrap_data(value: Value, metadata: Option<Struct>) -> (Struct, Option<Struct>) {
    if let Some(Kind::StructValue(object)) = value.kind {
        return (object, metadata);
    }
    let mut marked = metadata.unwrap_or_default();
    marked.fields.insert(WRAPPED_MARKER.to_owned(), Value { kind: Some(Kind::BoolValue(true)) });
    (Struct { fields: [(VALUE_MEMBER.to_owned(), value)].into() }, Some(marked))
}

/// Unwraps marked data and removes the marker; other data stays as it is.
fn unwrap_data(mut data: Struct, metadata: Option<Struct>) -> (Value, Option<Struct>) {
    let object = |data| Value { kind: Some(Kind::StructValue(data)) };
    let Some(mut marked) = metadata else { return (object(data), None) };
    let is_marked = marked
        .fields
        .get(WRAPPED_MARKER)
        .is_some_and(|mark| matches!(mark.kind, Some(Kind::BoolValue(true))));
    // A marker beside other members is the author's own.
    if !is_marked || data.fields.len() != 1 {
        return (object(data), Some(marked));
    }
    let Some(value) = data.fields.remove(VALUE_MEMBER) else { return (object(data), Some(marked)) };
    marked.fields.remove(WRAPPED_MARKER);
    (value, Some(marked).filter(|metadata| !metadata.fields.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> Value {
        Value { kind: Some(Kind::NumberValue(number)) }
    }

    #[test]
    fn wrapped_data_survives_a_round_trip() {
        let some = Struct { fields: [("a".to_owned(), number(1.0))].into() };
        for metadata in [None, Some(some)] {
            let (data, marked) = wrap_data(number(7.0), metadata.clone());
            assert_eq!(data.fields.len(), 1);
            assert_eq!(unwrap_data(data, marked), (number(7.0), metadata));
        }
    }

    #[test]
    fn unmarked_data_is_not_unwrapped() {
        let mark = Value { kind: Some(Kind::BoolValue(true)) };
        let marked = Struct { fields: [(WRAPPED_MARKER.to_owned(), mark)].into() };
        let two = [(VALUE_MEMBER.to_owned(), number(1.0)), ("other".to_owned(), number(2.0))];
        let two = Struct { fields: two.into() };
        let object = Value { kind: Some(Kind::StructValue(two.clone())) };
        assert_eq!(unwrap_data(two.clone(), Some(marked.clone())), (object.clone(), Some(marked)));
        assert_eq!(unwrap_data(two, None), (object, None));
    }
}
