//! Bounds of requests, messages and executors' output, the same in every binding. `docs/limits.md` lists them for users.

use crate::{
    Artifact, ArtifactUpdate, Content, Json, JsonObject, Message, Part, blob::least_len,
    log::UserMessage,
};

/// Most parts of one message or artifact chunk.
pub const MAX_PARTS: usize = 50_000;

/// Most members of objects and texts in lists of texts, in one request, where there are no elements of lists.
pub const MAX_MEMBERS: usize = 100_000;

/// Most elements of lists in one request, where there are no members. A member counts as [`MEMBER_WEIGHT`].
pub const MAX_ELEMENTS: usize = MEMBER_WEIGHT * MAX_MEMBERS;

/// Elements of lists that a member of an object counts as: it takes about as many times the memory.
pub const MEMBER_WEIGHT: usize = 10;

/// Deepest nesting of objects and arrays in data and metadata. Readers of protobuf stop at 100 messages inside one another; a
/// value stands at depth 5 of an answer, and each object takes 3: 5 + 3 × 31 is 98. One level is spare.
pub const MAX_DATA_DEPTH: usize = 30;

/// Most bytes of one log entry that stay in the entry once large contents are moved to blobs.
pub const MAX_ENTRY_INLINE_BYTES: usize = 2 << 20;

/// A value that is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}")]
pub struct OutOfBounds {
    /// The value, such as `message.parts[0].data`.
    pub place: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl OutOfBounds {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// What is said of data or metadata that is too deep.
pub fn too_deep() -> String {
    format!(
        "is nested deeper than {MAX_DATA_DEPTH} levels; flatten it, or send it as text or as a file"
    )
}

/// What is said of too many parts.
pub fn too_many_parts() -> String {
    format!("must not be more than {MAX_PARTS}; send fewer, larger parts, or several messages")
}

/// What is said of too many elements.
pub fn too_many_elements() -> String {
    format!(
        "holds too much: at most {MAX_MEMBERS} members of objects, or {MAX_ELEMENTS} elements of lists. \
         Send it in several messages, or as a file"
    )
}

/// Checks what a client says before its large contents are moved to blobs.
pub fn check_user_message(said: &UserMessage) -> Result<(), OutOfBounds> {
    check_metadata("metadata", said.request_metadata.as_ref())?;
    check_message(&said.message)?;
    check_inline("message", said.least_stored_len())
}

/// Checks a message before its large contents are moved to blobs.
pub fn check_message(message: &Message) -> Result<(), OutOfBounds> {
    parts("message", &message.parts)?;
    check_metadata("message.metadata", message.metadata.as_ref())?;
    check_inline("message", message.stored_len(least_len))
}

/// Checks a chunk of an artifact before its large contents are moved to blobs.
pub fn check_update(update: &ArtifactUpdate) -> Result<(), OutOfBounds> {
    let Artifact { parts: content, metadata, .. } = &update.artifact;
    parts("artifact", content)?;
    check_metadata("artifact.metadata", metadata.as_ref())?;
    check_metadata("metadata", update.metadata.as_ref())?;
    check_inline("artifact", update.artifact.stored_len(least_len))
}

/// Checks the depth of metadata.
pub fn check_metadata(place: &str, metadata: Option<&JsonObject>) -> Result<(), OutOfBounds> {
    object(|| place.to_owned(), metadata)
}

/// Checks what stays in a log entry.
fn check_inline(place: &'static str, bytes: usize) -> Result<(), OutOfBounds> {
    if bytes > MAX_ENTRY_INLINE_BYTES {
        Err(OutOfBounds::new(
            place,
            format!(
                "holds {bytes} bytes in contents of up to 1 KiB and short texts; at most {MAX_ENTRY_INLINE_BYTES} are allowed. \
                 Send fewer, larger parts, or a file"
            ),
        ))
    } else {
        Ok(())
    }
}

fn parts(place: &'static str, parts: &[Part]) -> Result<(), OutOfBounds> {
    if parts.len() > MAX_PARTS {
        return Err(OutOfBounds::new(format!("{place}.parts"), too_many_parts()));
    }
    for (index, part) in parts.iter().enumerate() {
        if let Content::Data(json) = &part.content {
            value(|| format!("{place}.parts[{index}].data"), json)?;
        }
        object(|| format!("{place}.parts[{index}].metadata"), part.metadata.as_ref())?;
    }
    Ok(())
}

fn object(place: impl FnOnce() -> String, object: Option<&JsonObject>) -> Result<(), OutOfBounds> {
    object.map_or(Ok(()), |object| value(place, object.as_json()))
}

fn value(place: impl FnOnce() -> String, json: &Json) -> Result<(), OutOfBounds> {
    if json.is_deeper_than(MAX_DATA_DEPTH) {
        Err(OutOfBounds::new(place(), too_deep()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArtifactId, MessageId, Role};

    fn nested(depth: usize) -> JsonObject {
        let text = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        JsonObject::parse(&text).unwrap()
    }

    fn message(parts: Vec<Part>) -> Message {
        Message::new(MessageId::new("m").unwrap(), Role::Agent, parts)
    }

    #[test]
    fn data_and_metadata_are_as_deep_as_every_binding_can_read() {
        let (deepest, deeper) = (nested(MAX_DATA_DEPTH), nested(MAX_DATA_DEPTH + 1));
        let data = |object: &JsonObject| Part::data(object.as_json().clone());
        assert_eq!(check_message(&message(vec![data(&deepest)])), Ok(()));
        let of_part = Part { metadata: Some(deeper.clone()), ..Part::text("x") };
        let with = Message { metadata: Some(deeper.clone()), ..message(vec![Part::text("x")]) };
        for (place, refused) in [
            ("message.parts[0].data", message(vec![data(&deeper)])),
            ("message.parts[0].metadata", message(vec![of_part])),
            ("message.metadata", with),
        ] {
            assert_eq!(check_message(&refused), Err(OutOfBounds::new(place, too_deep())));
        }
        let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![data(&deeper)]);
        assert!(check_update(&ArtifactUpdate::whole(artifact)).is_err());
    }

    #[test]
    fn a_message_has_a_bounded_number_of_parts() {
        let parts = |count| vec![Part::text(""); count];
        assert_eq!(check_message(&message(parts(MAX_PARTS))), Ok(()));
        let refused = check_message(&message(parts(MAX_PARTS + 1)));
        assert_eq!(refused, Err(OutOfBounds::new("message.parts", too_many_parts())));
    }

    #[test]
    fn what_cannot_be_moved_to_blobs_is_bounded() {
        let said = |parts| UserMessage::new(message(parts));
        let large = Part::text("x".repeat(10 << 20));
        assert_eq!(check_user_message(&said(vec![large])), Ok(()));
        let small = vec![Part::text("x".repeat(1_000)); 2_500];
        assert_eq!(check_user_message(&said(small)).unwrap_err().place, "message");
    }
}
