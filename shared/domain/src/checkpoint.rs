//! Checkpoints: named results of a run that later attempts reuse instead of computing them again.
//!
//! A checkpoint belongs to the task, not to an attempt or a turn. It commits in one transaction
//! with the output before it: after a crash, a step is either done with all its output, or not
//! begun.

use crate::{IdError, Json, text::check_identifier};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Maximum length of a checkpoint's name, in bytes.
pub const MAX_CHECKPOINT_NAME_BYTES: usize = 200;

/// Maximum size of a checkpoint's value, in bytes of JSON. Larger results belong in an artifact.
pub const MAX_CHECKPOINT_BYTES: usize = 1 << 20;

/// The name of a checkpoint, unique within its task.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointName(String);

impl CheckpointName {
    /// Creates a name from a text of 1 to [`MAX_CHECKPOINT_NAME_BYTES`] bytes without U+0000.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        check_identifier(&text, MAX_CHECKPOINT_NAME_BYTES)?;
        Ok(Self(text))
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CheckpointName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}
impl From<CheckpointName> for String {
    fn from(name: CheckpointName) -> Self {
        name.0
    }
}
impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointName({:?})", self.0)
    }
}

/// A value under a name. A later one of the same name replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name.
    pub name: CheckpointName,
    /// The value, at most [`MAX_CHECKPOINT_BYTES`].
    pub value: Json,
}

/// The error of a checkpoint that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The name is not valid.
    #[error("the name of a checkpoint {0}")]
    Name(#[from] IdError),
    /// The value is too large.
    #[error(
        "the value of checkpoint {name} has {size} bytes of at most {MAX_CHECKPOINT_BYTES}; put large results into an artifact"
    )]
    TooLarge {
        /// The checkpoint's name.
        name: CheckpointName,
        /// The size of the value in bytes.
        size: usize,
    },
}

impl Checkpoint {
    /// Creates a checkpoint; checks the name and the size of the value.
    pub fn new(name: impl Into<String>, value: Json) -> Result<Self, CheckpointError> {
        let name = CheckpointName::new(name)?;
        let size = value.as_str().len();
        // Larger results belong in an artifact, whose contents can be moved to blobs.
        if size > MAX_CHECKPOINT_BYTES {
            return Err(CheckpointError::TooLarge { name, size });
        }
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_checked() {
        let value = |bytes: usize| Json::from_serialize(&"x".repeat(bytes - 2)).unwrap();
        assert!(Checkpoint::new("ocr", value(MAX_CHECKPOINT_BYTES)).is_ok());
        assert!(matches!(
            Checkpoint::new("ocr", value(MAX_CHECKPOINT_BYTES + 1)),
            Err(CheckpointError::TooLarge { .. })
        ));
        for bad in ["", "a\0b", &"n".repeat(MAX_CHECKPOINT_NAME_BYTES + 1)] {
            assert!(matches!(Checkpoint::new(bad, value(2)), Err(CheckpointError::Name(_))));
        }
    }
}
