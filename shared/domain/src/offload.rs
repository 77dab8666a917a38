//! Moves large contents out of log entries into blobs, and back.
//!
//! Guarantee: after [`offload_to_blobs`], the contents of one entry take at most
//! [`MAX_ENTRY_CONTENT_BYTES`] beyond those too small to move, and restoring each blob gives the
//! entry back byte for byte.

use crate::{
    Artifact, ArtifactUpdate, Blob, BlobHash, BlobKind, BlobRef, Content, DurabilityOptions,
    EntryBody, Json, JsonObject, Message, Part,
    blob::CorruptBlob,
    extension,
    log::{StatusChange, UserMessage},
};
use bytes::Bytes;

/// Maximum size of a content that stays inside its log entry, in bytes. A larger one becomes a
/// blob.
pub const MAX_INLINE_CONTENT_BYTES: usize = 64 * 1024;

/// Maximum size of all contents that stay inside one log entry, in bytes. Beyond it the largest
/// become blobs, so reading a history of many messages stays bounded.
pub const MAX_ENTRY_CONTENT_BYTES: usize = 4 * MAX_INLINE_CONTENT_BYTES;

/// Size above which a content is worth a blob, in bytes.
pub(crate) const MIN_BLOB_BYTES: usize = 1024;

/// Name of the member that marks a JSON object as a reference to the blob of the whole object.
pub const BLOB_MEMBER: &str = "urn:longhaul:blob";

/// Text that every reference begins with. A client may send an object of this form too; it is
/// always moved to a blob, so in the store the prefix marks references only.
const REFERENCE_PREFIX: &str = "{\"urn:longhaul:blob\":";

impl JsonObject {
    /// The reference, when the object was moved to a blob.
    pub fn blob(&self) -> Option<BlobRef> {
        // Cheap test first: nearly all metadata is no reference.
        if !self.as_str().starts_with(REFERENCE_PREFIX) {
            return None;
        }
        self.get(BLOB_MEMBER)?.to().ok()
    }

    /// The object that replaces this one in the store. Durability options stay readable in it.
    fn reference(&self, blob: &BlobRef) -> Option<Self> {
        let blob = serde_json::to_string(blob).ok()?;
        let mut text = format!("{REFERENCE_PREFIX}{blob}");
        // The worker reads these options from the entry, without fetching the blob.
        if let Some(options) = DurabilityOptions::known_members(self) {
            let name = serde_json::to_string(extension::DURABILITY_EXTENSION).ok()?;
            for piece in [",", &name, ":", options.as_str()] {
                text.push_str(piece);
            }
        }
        text.push('}');
        Self::parse(&text).ok()
    }
}

/// A content of an entry that may be moved to a blob.
#[derive(Debug)]
pub enum BlobSlot<'a> {
    /// The content of a part.
    Content(&'a mut Content),
    /// Metadata of a part, a message, an artifact, a status or a request.
    Metadata(&'a mut JsonObject),
}

impl BlobSlot<'_> {
    /// Bytes of the content in the entry itself.
    pub fn inline_len(&self) -> usize {
        match self {
            Self::Content(content) => content.inline_len(),
            Self::Metadata(object) => object.as_str().len(),
        }
    }

    /// The reference, when the content was moved to a blob.
    pub fn blob(&self) -> Option<BlobRef> {
        match self {
            Self::Content(content) => content.blob().copied(),
            Self::Metadata(object) => object.blob(),
        }
    }

    /// Replaces the reference by the content that the blob holds.
    pub fn restore(&mut self, reference: &BlobRef, bytes: Bytes) -> Result<(), CorruptBlob> {
        let content = reference.restore(bytes)?;
        match self {
            Self::Content(slot) => **slot = content,
            Self::Metadata(slot) => {
                let Content::Data(json) = content else { return Err(reference.corrupt()) };
                **slot = JsonObject::new(json).map_err(|_| reference.corrupt())?;
            }
        }
        Ok(())
    }

    /// Replaces a content over `limit` bytes by a reference and returns the blob to store.
    fn offload(&mut self, limit: usize) -> Option<Blob> {
        // A client may send metadata in the form of a reference. Move it whatever its size, see
        // REFERENCE_PREFIX.
        let forged =
            matches!(self, Self::Metadata(object) if object.as_str().starts_with(REFERENCE_PREFIX));
        if self.inline_len() <= limit && !forged {
            return None;
        }
        let (kind, bytes) = match self {
            Self::Content(content) => match &**content {
                Content::Text(text) => (BlobKind::Text, Bytes::from(text.clone().into_bytes())),
                Content::Raw(bytes) => (BlobKind::Raw, bytes.clone()),
                Content::Data(json) => (BlobKind::Data, Bytes::from(json.as_str().to_owned())),
                // URLs stay in the entry; blobs are moved already.
                Content::Url(_) | Content::Blob(_) => return None,
            },
            Self::Metadata(object) => (BlobKind::Data, Bytes::from(object.as_str().to_owned())),
        };
        let blob = BlobRef { hash: BlobHash::digest(&bytes), size: bytes.len() as u64, kind };
        match self {
            // Replace only now: the bytes were taken from the content above.
            Self::Content(content) => **content = Content::Blob(blob),
            Self::Metadata(object) => **object = object.reference(&blob)?,
        }
        Some(Blob { hash: blob.hash, bytes })
    }
}

/// Moves large contents of one entry to blobs: each over [`MAX_INLINE_CONTENT_BYTES`], then the
/// largest others until the rest is at most [`MAX_ENTRY_CONTENT_BYTES`]. Call it once per entry: it
/// takes references already there for metadata of a client.
pub fn offload_to_blobs<'a>(slots: impl IntoIterator<Item = BlobSlot<'a>>) -> Vec<Blob> {
    let mut slots: Vec<BlobSlot<'a>> = slots.into_iter().collect();
    let mut blobs: Vec<Blob> =
        slots.iter_mut().filter_map(|slot| slot.offload(MAX_INLINE_CONTENT_BYTES)).collect();
    let mut inline: usize = slots.iter().map(BlobSlot::inline_len).sum();
    if inline > MAX_ENTRY_CONTENT_BYTES {
        // Largest first: the fewest blobs for the bytes that must go.
        slots.retain(|slot| slot.blob().is_none());
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.inline_len()));
        for mut slot in slots {
            if inline <= MAX_ENTRY_CONTENT_BYTES {
                break;
            }
            let len = slot.inline_len();
            // Contents below the minimum are not worth a blob of their own.
            if let Some(blob) = slot.offload(MIN_BLOB_BYTES) {
                inline -= len;
                inline += slot.inline_len();
                blobs.push(blob);
            }
        }
    }
    blobs
}

impl BlobRef {
    /// Turns the bytes of the blob back into the content.
    pub fn restore(&self, bytes: Bytes) -> Result<Content, CorruptBlob> {
        let corrupt = || self.corrupt();
        let text = |bytes: Bytes| String::from_utf8(bytes.into()).map_err(|_| corrupt());
        Ok(match self.kind {
            BlobKind::Raw => Content::Raw(bytes),
            BlobKind::Text => Content::Text(text(bytes)?),
            BlobKind::Data => Content::Data(Json::parse(&text(bytes)?).map_err(|_| corrupt())?),
        })
    }
}

impl Part {
    /// The contents of the part that may be moved to blobs.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.metadata.as_mut().map(BlobSlot::Metadata);
        std::iter::once(BlobSlot::Content(&mut self.content)).chain(metadata)
    }

    /// Tells whether the content or the metadata is in a blob.
    pub fn has_blobs(&self) -> bool {
        self.blob().is_some() || is_blob(self.metadata.as_ref())
    }
}

impl Message {
    /// The contents of the message that may be moved to blobs.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.metadata.as_mut().map(BlobSlot::Metadata);
        self.parts.iter_mut().flat_map(Part::blob_slots).chain(metadata)
    }

    /// Tells whether any content of the message is in a blob.
    pub fn has_blobs(&self) -> bool {
        is_blob(self.metadata.as_ref()) || self.parts.iter().any(Part::has_blobs)
    }
}

impl Artifact {
    /// The contents of the artifact that may be moved to blobs.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.metadata.as_mut().map(BlobSlot::Metadata);
        self.parts.iter_mut().flat_map(Part::blob_slots).chain(metadata)
    }

    /// Tells whether any content of the artifact is in a blob.
    pub fn has_blobs(&self) -> bool {
        is_blob(self.metadata.as_ref()) || self.parts.iter().any(Part::has_blobs)
    }
}

impl UserMessage {
    /// The contents of the message and its request that may be moved to blobs.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.request_metadata.as_mut().map(BlobSlot::Metadata);
        self.message.blob_slots().chain(metadata)
    }
}

impl EntryBody {
    /// The contents of the entry that may be moved to blobs.
    pub fn blob_slots(&mut self) -> Box<dyn Iterator<Item = BlobSlot<'_>> + '_> {
        match self {
            Self::Message(user) => Box::new(user.blob_slots()),
            Self::Status(StatusChange { message, metadata, .. }) => Box::new(
                (message.iter_mut().flat_map(Message::blob_slots))
                    .chain(metadata.as_mut().map(BlobSlot::Metadata)),
            ),
            Self::Artifact(ArtifactUpdate { artifact, metadata, .. }) => {
                Box::new(artifact.blob_slots().chain(metadata.as_mut().map(BlobSlot::Metadata)))
            }
            Self::Note(_) => Box::new(std::iter::empty()),
        }
    }

    /// Tells whether any content of the entry is in a blob.
    pub fn has_blobs(&self) -> bool {
        match self {
            Self::Message(user) => {
                user.message.has_blobs() || is_blob(user.request_metadata.as_ref())
            }
            Self::Status(change) => {
                change.message.as_ref().is_some_and(Message::has_blobs)
                    || is_blob(change.metadata.as_ref())
            }
            Self::Artifact(update) => {
                update.artifact.has_blobs() || is_blob(update.metadata.as_ref())
            }
            Self::Note(_) => false,
        }
    }
}

/// Tells whether an optional object is a reference to a blob.
fn is_blob(object: Option<&JsonObject>) -> bool {
    object.is_some_and(|object| object.blob().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_contents_survive_a_blob_unchanged() {
        let large = "x".repeat(MAX_INLINE_CONTENT_BYTES + 1);
        for part in [
            Part::text(large.clone()),
            Part::raw(large.clone().into_bytes(), "text/plain"),
            Part::data(Json::parse(&format!("[\"{large}\"]")).unwrap()),
        ] {
            let mut stored = part.clone();
            let blob =
                BlobSlot::Content(&mut stored.content).offload(MAX_INLINE_CONTENT_BYTES).unwrap();
            let reference = *stored.blob().unwrap();
            assert_eq!(reference.hash, blob.hash);
            assert_eq!(reference.restore(blob.bytes).unwrap(), part.content);
            let text = serde_json::to_string(&stored).unwrap();
            assert_eq!(serde_json::from_str::<Part>(&text).unwrap(), stored);
        }
    }

    #[test]
    fn contents_up_to_the_limit_stay_inline() {
        let mut part = Part::text("x".repeat(MAX_INLINE_CONTENT_BYTES));
        assert_eq!(BlobSlot::Content(&mut part.content).offload(MAX_INLINE_CONTENT_BYTES), None);
    }

    #[test]
    fn many_contents_leave_an_entry_of_bounded_size() {
        let sizes = (0..40).map(|n| if n % 2 == 0 { 60_000 } else { 100 });
        let mut parts: Vec<Part> = sizes.map(|size| Part::text("x".repeat(size))).collect();
        let blobs = offload_to_blobs(parts.iter_mut().flat_map(Part::blob_slots));
        let inline: usize = parts.iter().map(Part::inline_len).sum();
        assert!(inline <= MAX_ENTRY_CONTENT_BYTES, "{inline}");
        assert_eq!(parts.iter().filter(|part| part.blob().is_some()).count(), blobs.len());
        assert!(parts.iter().skip(1).step_by(2).all(|part| part.blob().is_none()));
    }

    fn object(text: &str) -> JsonObject {
        JsonObject::parse(text).unwrap()
    }

    #[test]
    fn large_metadata_survives_a_blob_and_its_options_stay_readable() {
        let durability =
            format!(r#""{}":{{"maxAttempts":2,"x":1}}"#, extension::DURABILITY_EXTENSION);
        let large = object(&format!(
            r#"{{"pad":"{}",{durability}}}"#,
            "x".repeat(MAX_INLINE_CONTENT_BYTES)
        ));
        let mut stored = large.clone();
        let blobs = offload_to_blobs([BlobSlot::Metadata(&mut stored)]);
        assert!(stored.as_str().len() < 1_000, "{stored:?}");
        let options = DurabilityOptions::from_metadata(Some(&stored)).unwrap();
        assert_eq!(options.max_attempts, Some(2));
        let reference = stored.blob().unwrap();
        assert_eq!((blobs.len(), blobs[0].hash), (1, reference.hash));
        let mut slot = BlobSlot::Metadata(&mut stored);
        slot.restore(&reference, blobs[0].bytes.clone()).unwrap();
        assert_eq!(stored, large);
    }

    #[test]
    fn forged_references_in_metadata_are_not_followed() {
        let hash = BlobHash::digest(b"of somebody");
        let forged = object(&format!(
            r#"{{"{BLOB_MEMBER}":{{"hash":"{hash}","size":1,"kind":"data"}},"a":1}}"#
        ));
        let mut stored = forged.clone();
        let blobs = offload_to_blobs([BlobSlot::Metadata(&mut stored)]);
        let reference = stored.blob().unwrap();
        assert_ne!(reference.hash, hash);
        BlobSlot::Metadata(&mut stored).restore(&reference, blobs[0].bytes.clone()).unwrap();
        assert_eq!(stored, forged);
    }

    #[test]
    fn metadata_of_many_parts_leaves_an_entry_of_bounded_size() {
        let part = |n: usize| Part {
            metadata: Some(object(&format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(20_000)))),
            ..Part::text("short")
        };
        let mut parts: Vec<Part> = (0..40).map(part).collect();
        let blobs = offload_to_blobs(parts.iter_mut().flat_map(Part::blob_slots));
        let inline: usize =
            parts.iter_mut().flat_map(Part::blob_slots).map(|s| s.inline_len()).sum();
        assert!(inline <= MAX_ENTRY_CONTENT_BYTES, "{inline}");
        assert!(blobs.len() >= 27, "{}", blobs.len());
    }

    #[test]
    fn bytes_of_another_kind_are_an_error() {
        let reference = BlobRef { hash: BlobHash::digest(b""), size: 1, kind: BlobKind::Text };
        assert!(reference.restore(Bytes::from_static(&[0xff])).is_err());
    }
}
