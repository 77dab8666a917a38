//! Large contents, kept apart: stored once per owner by the hash of their bytes, and read when asked for.

use crate::{Content, Json, Part};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// Largest content that stays inside its log entry, in bytes; a larger one becomes a blob.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// Most bytes of contents that stay inside one log entry together: of more, the largest become blobs, so that reading a
/// history of many messages stays bounded.
pub const ENTRY_LIMIT: usize = 4 * INLINE_LIMIT;

/// Smallest content that is worth a blob of its own, in bytes.
const SMALLEST_BLOB: usize = 1024;

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

impl Part {
    /// Replaces a content over `limit` bytes by a reference and gives what is to be kept.
    fn offload(&mut self, limit: usize) -> Option<Blob> {
        if self.inline_len() <= limit {
            return None;
        }
        let (kind, bytes) = match &self.content {
            Content::Text(text) => (BlobKind::Text, Bytes::from(text.clone().into_bytes())),
            Content::Raw(bytes) => (BlobKind::Raw, bytes.clone()),
            Content::Data(json) => (BlobKind::Data, Bytes::from(json.as_str().to_owned())),
            // A URL this long is no use as a file; it stays where it is. A blob is kept apart already.
            Content::Url(_) | Content::Blob(_) => return None,
        };
        let hash = BlobHash::of(&bytes);
        let size = bytes.len() as u64;
        self.content = Content::Blob(BlobRef { hash, size, kind });
        Some(Blob { hash, bytes })
    }

    /// The reference, when the content is kept apart.
    pub const fn blob(&self) -> Option<&BlobRef> {
        match &self.content {
            Content::Blob(blob) => Some(blob),
            _ => None,
        }
    }
}

impl BlobRef {
    /// Turns the bytes back into the content that they were.
    pub fn restore(&self, bytes: Bytes) -> Result<Content, CorruptBlob> {
        let corrupt = || CorruptBlob { hash: self.hash, kind: self.kind };
        let text = |bytes: Bytes| String::from_utf8(bytes.into()).map_err(|_| corrupt());
        Ok(match self.kind {
            BlobKind::Raw => Content::Raw(bytes),
            BlobKind::Text => Content::Text(text(bytes)?),
            BlobKind::Data => Content::Data(Json::parse(&text(bytes)?).map_err(|_| corrupt())?),
        })
    }
}

/// Takes large contents out of the parts of one entry: each over [`INLINE_LIMIT`], and the largest others while all
/// together are over [`ENTRY_LIMIT`].
pub fn offload_all<'a>(parts: impl IntoIterator<Item = &'a mut Part>) -> Vec<Blob> {
    let mut parts: Vec<&mut Part> = parts.into_iter().collect();
    let mut blobs: Vec<Blob> =
        parts.iter_mut().filter_map(|part| part.offload(INLINE_LIMIT)).collect();
    let mut inline: usize = parts.iter().map(|part| part.inline_len()).sum();
    if inline > ENTRY_LIMIT {
        parts.sort_by_key(|part| std::cmp::Reverse(part.inline_len()));
        for part in parts {
            if inline <= ENTRY_LIMIT {
                break;
            }
            let len = part.inline_len();
            if let Some(blob) = part.offload(SMALLEST_BLOB) {
                inline -= len;
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
        let large = "x".repeat(INLINE_LIMIT + 1);
        for part in [
            Part::text(large.clone()),
            Part::raw(large.clone().into_bytes(), "text/plain"),
            Part::data(Json::parse(&format!("[\"{large}\"]")).unwrap()),
        ] {
            let mut stored = part.clone();
            let blob = stored.offload(INLINE_LIMIT).unwrap();
            let reference = *stored.blob().unwrap();
            assert_eq!(reference.hash, blob.hash);
            assert_eq!(reference.restore(blob.bytes).unwrap(), part.content);
            let text = serde_json::to_string(&stored).unwrap();
            assert_eq!(serde_json::from_str::<Part>(&text).unwrap(), stored);
        }
    }

    #[test]
    fn contents_up_to_the_limit_stay() {
        let mut part = Part::text("x".repeat(INLINE_LIMIT));
        assert_eq!(part.offload(INLINE_LIMIT), None);
    }

    #[test]
    fn many_contents_together_leave_an_entry_of_bounded_size() {
        let sizes = (0..40).map(|n| if n % 2 == 0 { 60_000 } else { 100 });
        let mut parts: Vec<Part> = sizes.map(|size| Part::text("x".repeat(size))).collect();
        let blobs = offload_all(&mut parts);
        let inline: usize = parts.iter().map(Part::inline_len).sum();
        assert!(inline <= ENTRY_LIMIT, "{inline}");
        assert_eq!(parts.iter().filter(|part| part.blob().is_some()).count(), blobs.len());
        assert!(parts.iter().skip(1).step_by(2).all(|part| part.blob().is_none()));
    }

    #[test]
    fn bytes_that_are_not_what_they_should_be_are_an_error() {
        let reference = BlobRef { hash: BlobHash::of(b""), size: 1, kind: BlobKind::Text };
        assert!(reference.restore(Bytes::from_static(&[0xff])).is_err());
    }
}
