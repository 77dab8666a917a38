//! Large contents, kept apart: stored once per owner by the hash of their bytes, and read when asked for.

use crate::{Content, DurabilityOptions, Json, JsonObject, Part, extension};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// Largest content that stays inside its log entry, in bytes; a larger one becomes a blob.
pub const MAX_INLINE_CONTENT_BYTES: usize = 64 * 1024;

/// Most bytes of contents that stay inside one log entry together: of more, the largest become blobs, so that reading a
/// history of many messages stays bounded.
pub const MAX_ENTRY_CONTENT_BYTES: usize = 4 * MAX_INLINE_CONTENT_BYTES;

/// Smallest content that is worth a blob of its own, in bytes.
const SMALLEST_BLOB: usize = 1024;

/// Bytes of a reference in a stored entry, about.
pub(crate) const REFERENCE_BYTES: usize = 128;

/// Bytes that a content of so many bytes takes in its entry when everything that can be is moved to blobs.
pub(crate) const fn least_len(len: usize) -> usize {
    if len > SMALLEST_BLOB { REFERENCE_BYTES } else { len }
}

/// SHA-256 of a blob's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits.map(|digit| DIGITS[usize::from(digit)]).try_for_each(|digit| f.write_char(digit))
    }
}
impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}
impl Serialize for BlobHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for BlobHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit =
            |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let mut hash = [0; 32];
        for (i, byte) in hash.iter_mut().enumerate() {
            *byte = digit(i * 2).ok_or_else(|| serde::de::Error::custom("not a blob hash"))?;
        }
        Ok(Self(hash))
    }
}

/// What the bytes of a blob are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// UTF-8 text.
    Text,
    /// Bytes of a file.
    Raw,
    /// A JSON text.
    Data,
}

/// Stands in a part for content that is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// Which bytes.
    pub hash: BlobHash,
    /// How many.
    pub size: u64,
    /// What they are.
    pub kind: BlobKind,
}

/// Bytes to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Their hash.
    pub hash: BlobHash,
    /// The bytes.
    pub bytes: Bytes,
}

/// A blob whose bytes are not what its reference says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("blob {hash} is not {kind:?}")]
pub struct CorruptBlob {
    hash: BlobHash,
    kind: BlobKind,
}

impl Content {
    /// The reference, when the content is kept apart.
    pub const fn blob(&self) -> Option<&BlobRef> {
        match self {
            Self::Blob(blob) => Some(blob),
            _ => None,
        }
    }
}

impl Part {
    /// The reference, when the content is kept apart.
    pub const fn blob(&self) -> Option<&BlobRef> {
        self.content.blob()
    }
}

/// Name of the member of a JSON object that stands for the whole object, which is kept apart.
pub const BLOB_MEMBER: &str = "urn:longhaul:blob";

/// Beginning of the text of every object that is a reference. A client may send such a text, too: it is always moved to a blob
/// itself, so in the store the beginning marks a reference and nothing else.
const REFERENCE_START: &str = "{\"urn:longhaul:blob\":";

impl JsonObject {
    /// The reference, when the object is kept apart.
    pub fn blob(&self) -> Option<BlobRef> {
        if !self.as_str().starts_with(REFERENCE_START) {
            return None;
        }
        self.get(BLOB_MEMBER)?.to().ok()
    }

    /// The object that stands for this one in the store. Options for the worker stay readable in it.
    fn reference(&self, blob: &BlobRef) -> Option<Self> {
        let blob = serde_json::to_string(blob).ok()?;
        let mut text = format!("{REFERENCE_START}{blob}");
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

/// A place in an entry whose content may be kept apart.
#[derive(Debug)]
pub enum BlobSlot<'a> {
    /// The content of a part.
    Content(&'a mut Content),
    /// Metadata of a part, a message, an artifact, a status or a request.
    Metadata(&'a mut JsonObject),
}

impl BlobSlot<'_> {
    /// Bytes that stand in the entry itself.
    pub fn inline_len(&self) -> usize {
        match self {
            Self::Content(content) => content.inline_len(),
            Self::Metadata(object) => object.as_str().len(),
        }
    }

    /// The reference, when the content is kept apart.
    pub fn blob(&self) -> Option<BlobRef> {
        match self {
            Self::Content(content) => content.blob().copied(),
            Self::Metadata(object) => object.blob(),
        }
    }

    /// Puts the bytes of a reference back in its place.
    pub fn restore(&mut self, reference: &BlobRef, bytes: Bytes) -> Result<(), CorruptBlob> {
        let content = reference.restore(bytes)?;
        match self {
            Self::Content(place) => **place = content,
            Self::Metadata(place) => {
                let Content::Data(json) = content else { return Err(reference.corrupt()) };
                **place = JsonObject::new(json).map_err(|_| reference.corrupt())?;
            }
        }
        Ok(())
    }

    /// Replaces a content over `limit` bytes by a reference; gives the blob to store.
    fn offload(&mut self, limit: usize) -> Option<Blob> {
        // What a client wrote in the form of a reference is no reference, see REFERENCE_START.
        let forged =
            matches!(self, Self::Metadata(object) if object.as_str().starts_with(REFERENCE_START));
        if self.inline_len() <= limit && !forged {
            return None;
        }
        let (kind, bytes) = match self {
            Self::Content(content) => match &**content {
                Content::Text(text) => (BlobKind::Text, Bytes::from(text.clone().into_bytes())),
                Content::Raw(bytes) => (BlobKind::Raw, bytes.clone()),
                Content::Data(json) => (BlobKind::Data, Bytes::from(json.as_str().to_owned())),
                // A URL this long is no use as a file; it stays where it is. A blob is kept apart already.
                Content::Url(_) | Content::Blob(_) => return None,
            },
            Self::Metadata(object) => (BlobKind::Data, Bytes::from(object.as_str().to_owned())),
        };
        let blob = BlobRef { hash: BlobHash::of(&bytes), size: bytes.len() as u64, kind };
        match self {
            Self::Content(content) => **content = Content::Blob(blob),
            Self::Metadata(object) => **object = object.reference(&blob)?,
        }
        Some(Blob { hash: blob.hash, bytes })
    }
}

impl BlobRef {
    const fn corrupt(&self) -> CorruptBlob {
        CorruptBlob { hash: self.hash, kind: self.kind }
    }

    /// Turns the bytes back into the content that they were.
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

/// Takes large contents out of one entry: each over [`MAX_INLINE_CONTENT_BYTES`], and the largest others while all together are over
/// [`MAX_ENTRY_CONTENT_BYTES`]. Contents are taken out once: a reference that is there already would be taken for what a client wrote.
pub fn offload_to_blobs<'a>(slots: impl IntoIterator<Item = BlobSlot<'a>>) -> Vec<Blob> {
    let mut slots: Vec<BlobSlot<'a>> = slots.into_iter().collect();
    let mut blobs: Vec<Blob> =
        slots.iter_mut().filter_map(|slot| slot.offload(MAX_INLINE_CONTENT_BYTES)).collect();
    let mut inline: usize = slots.iter().map(BlobSlot::inline_len).sum();
    if inline > MAX_ENTRY_CONTENT_BYTES {
        slots.retain(|slot| slot.blob().is_none());
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.inline_len()));
        for mut slot in slots {
            if inline <= MAX_ENTRY_CONTENT_BYTES {
                break;
            }
            let len = slot.inline_len();
            if let Some(blob) = slot.offload(SMALLEST_BLOB) {
                inline -= len;
                inline += slot.inline_len();
                blobs.push(blob);
            }
        }
    }
    blobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_contents_leave_and_come_back_unchanged() {
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
    fn contents_up_to_the_limit_stay() {
        let mut part = Part::text("x".repeat(MAX_INLINE_CONTENT_BYTES));
        assert_eq!(BlobSlot::Content(&mut part.content).offload(MAX_INLINE_CONTENT_BYTES), None);
    }

    #[test]
    fn many_contents_together_leave_an_entry_of_bounded_size() {
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
    fn large_metadata_leaves_and_comes_back_and_its_options_stay_readable() {
        let durability =
            format!(r#""{}":{{"maxAttempts":2,"x":1}}"#, extension::DURABILITY_EXTENSION);
        let large = object(&format!(
            r#"{{"pad":"{}",{durability}}}"#,
            "x".repeat(MAX_INLINE_CONTENT_BYTES)
        ));
        let mut stored = large.clone();
        let blobs = offload_to_blobs([BlobSlot::Metadata(&mut stored)]);
        assert!(stored.as_str().len() < 1_000, "{stored:?}");
        let options = DurabilityOptions::read(Some(&stored)).unwrap();
        assert_eq!(options.max_attempts, Some(2));
        let reference = stored.blob().unwrap();
        assert_eq!((blobs.len(), blobs[0].hash), (1, reference.hash));
        let mut slot = BlobSlot::Metadata(&mut stored);
        slot.restore(&reference, blobs[0].bytes.clone()).unwrap();
        assert_eq!(stored, large);
    }

    #[test]
    fn metadata_in_the_form_of_a_reference_is_not_taken_for_one() {
        let hash = BlobHash::of(b"of somebody");
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
    fn bytes_that_are_not_what_they_should_be_are_an_error() {
        let reference = BlobRef { hash: BlobHash::of(b""), size: 1, kind: BlobKind::Text };
        assert!(reference.restore(Bytes::from_static(&[0xff])).is_err());
    }
}
