//! Size limits of requests, messages and executor output, the same in every binding.
//! `docs/limits.md` lists them for users.

use crate::{
    Artifact, ArtifactUpdate, Content, Json, JsonObject, Message, Part, log::UserMessage,
    stored_len::after_offload,
};

/// Maximum number of parts of one message or artifact chunk.
pub const MAX_PARTS: usize = 50_000;

/// Maximum number of object members and list texts in a request that holds no other list elements.
pub const MAX_MEMBERS: usize = 100_000;

/// Maximum number of list elements in a request without object members. A member counts as
/// [`MEMBER_WEIGHT`] elements.
pub const MAX_ELEMENTS: usize = MEMBER_WEIGHT * MAX_MEMBERS;

/// List elements that one object member counts as, because it takes about ten times their memory.
pub const MEMBER_WEIGHT: usize = 10;

/// Maximum nesting of objects and arrays in data and metadata. Protobuf readers stop at 100 nested
/// messages; a value stands at depth 5 of a response and each object takes 3 levels: 5 + 3 × 31 is
/// 98. One level is spare.
pub const MAX_DATA_DEPTH: usize = 30;

/// Maximum size of a log entry once its large contents are moved to blobs, in bytes.
pub const MAX_ENTRY_INLINE_BYTES: usize = 2 << 20;

/// The error of a value that exceeds a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {problem}")]
pub struct OutOfBounds {
    /// The path of the value, such as `message.parts[0].data`.
    pub path: String,
    /// The problem and its remedy, as the rest of a sentence.
    pub problem: String,
}

impl OutOfBounds {
    fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// The problem of data or metadata nested deeper than [`MAX_DATA_DEPTH`].
pub fn too_deep() -> String {
    format!(
        "is nested deeper than {MAX_DATA_DEPTH} levels; flatten it, or send it as text or as a file"
    )
}

/// The problem of more parts than [`MAX_PARTS`].
pub fn too_many_parts() -> String {
    format!("must not be more than {MAX_PARTS}; send fewer, larger parts, or several messages")
}

/// The problem of more elements than [`MAX_MEMBERS`] and [`MAX_ELEMENTS`] allow.
pub fn too_many_elements() -> String {
    format!(
        "holds too much: at most {MAX_MEMBERS} members of objects, or {MAX_ELEMENTS} elements of lists. \
         Send it in several messages, or as a file"
    )
}

/// Checks a client's message and request before large contents are moved to blobs.
pub fn check_user_message(user: &UserMessage) -> Result<(), OutOfBounds> {
    check_metadata("metadata", user.request_metadata.as_ref())?;
    check_message(&user.message)?;
    check_inline("message", user.min_stored_len())
}

/// Checks a message before large contents are moved to blobs.
pub fn check_message(message: &Message) -> Result<(), OutOfBounds> {
    check_parts("message", &message.parts)?;
    check_metadata("message.metadata", message.metadata.as_ref())?;
    check_inline("message", message.stored_len(after_offload))
}

/// Checks a chunk of an artifact before large contents are moved to blobs.
pub fn check_update(update: &ArtifactUpdate) -> Result<(), OutOfBounds> {
    let Artifact { parts, metadata, .. } = &update.artifact;
    check_parts("artifact", parts)?;
    check_metadata("artifact.metadata", metadata.as_ref())?;
    check_metadata("metadata", update.metadata.as_ref())?;
    check_inline("artifact", update.artifact.stored_len(after_offload))
}

/// Checks the depth of metadata.
pub fn check_metadata(path: &str, metadata: Option<&JsonObject>) -> Result<(), OutOfBounds> {
    check_object(|| path.to_owned(), metadata)
}

/// Checks the size of a log entry after its large contents are moved to blobs.
fn check_inline(path: &'static str, bytes: usize) -> Result<(), OutOfBounds> {
    if bytes > MAX_ENTRY_INLINE_BYTES {
        Err(OutOfBounds::new(
            path,
            format!(
                "holds {bytes} bytes in contents of up to 1 KiB and short texts; at most {MAX_ENTRY_INLINE_BYTES} are allowed. \
                 Send fewer, larger parts, or a file"
            ),
        ))
    } else {
        Ok(())
    }
}

fn check_parts(path: &'static str, parts: &[Part]) -> Result<(), OutOfBounds> {
    // Count before looking into the parts, so that a rejection stays cheap.
    if parts.len() > MAX_PARTS {
        return Err(OutOfBounds::new(format!("{path}.parts"), too_many_parts()));
    }
    for (index, part) in parts.iter().enumerate() {
        if let Content::Data(json) = &part.content {
            check_depth(|| format!("{path}.parts[{index}].data"), json)?;
        }
        check_object(|| format!("{path}.parts[{index}].metadata"), part.metadata.as_ref())?;
    }
    Ok(())
}

fn check_object(
    path: impl FnOnce() -> String,
    object: Option<&JsonObject>,
) -> Result<(), OutOfBounds> {
    object.map_or(Ok(()), |object| check_depth(path, object.as_json()))
}

fn check_depth(path: impl FnOnce() -> String, json: &Json) -> Result<(), OutOfBounds> {
    // The parser bounds the depth of the whole request; this bound is about each value alone,
    // because every binding must be able to write it again.
    if json.is_deeper_than(MAX_DATA_DEPTH) {
        Err(OutOfBounds::new(path(), too_deep()))
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
    fn data_and_metadata_nest_no_deeper_than_every_binding_can_read() {
        let (deepest, deeper) = (nested(MAX_DATA_DEPTH), nested(MAX_DATA_DEPTH + 1));
        let data = |object: &JsonObject| Part::data(object.as_json().clone());
        assert_eq!(check_message(&message(vec![data(&deepest)])), Ok(()));
        let of_part = Part { metadata: Some(deeper.clone()), ..Part::text("x") };
        let with = Message { metadata: Some(deeper.clone()), ..message(vec![Part::text("x")]) };
        for (path, refused) in [
            ("message.parts[0].data", message(vec![data(&deeper)])),
            ("message.parts[0].metadata", message(vec![of_part])),
            ("message.metadata", with),
        ] {
            assert_eq!(check_message(&refused), Err(OutOfBounds::new(path, too_deep())));
        }
        let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![data(&deeper)]);
        assert!(check_update(&ArtifactUpdate::complete(artifact)).is_err());
    }

    #[test]
    fn a_message_has_a_bounded_number_of_parts() {
        let parts = |count| vec![Part::text(""); count];
        assert_eq!(check_message(&message(parts(MAX_PARTS))), Ok(()));
        let refused = check_message(&message(parts(MAX_PARTS + 1)));
        assert_eq!(refused, Err(OutOfBounds::new("message.parts", too_many_parts())));
    }

    #[test]
    fn contents_too_small_for_blobs_are_bounded_together() {
        let user = |parts| UserMessage::new(message(parts));
        let large = Part::text("x".repeat(10 << 20));
        assert_eq!(check_user_message(&user(vec![large])), Ok(()));
        let small = vec![Part::text("x".repeat(1_000)); 2_500];
        assert_eq!(check_user_message(&user(small)).unwrap_err().path, "message");
    }
}
