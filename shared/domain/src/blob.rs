//! Blobs: large contents, stored once per owner by the hash of their bytes and read on demand.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// The SHA-256 of a blob's bytes; its key, together with the owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// Hashes the bytes of a blob.
    pub fn digest(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        // High nibble first, as hexadecimal is read.
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
            // `get` instead of indexing: the text may be too short or cut a character.
            |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let mut hash = [0; 32];
        for (i, byte) in hash.iter_mut().enumerate() {
            *byte = digit(i * 2).ok_or_else(|| serde::de::Error::custom("not a blob hash"))?;
        }
        Ok(Self(hash))
    }
}

/// The kind of content that a blob's bytes hold.
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

/// A reference to a blob, in place of the content that was moved there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// The hash of the bytes.
    pub hash: BlobHash,
    /// The number of bytes.
    pub size: u64,
    /// The content that they hold.
    pub kind: BlobKind,
}

/// A blob to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The hash of the bytes.
    pub hash: BlobHash,
    /// The bytes.
    pub bytes: Bytes,
}

/// The error of a blob whose bytes do not hold the content that its reference names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("blob {hash} is not {kind:?}")]
pub struct CorruptBlob {
    hash: BlobHash,
    kind: BlobKind,
}

impl BlobRef {
    pub(crate) const fn corrupt(&self) -> CorruptBlob {
        CorruptBlob { hash: self.hash, kind: self.kind }
    }
}
