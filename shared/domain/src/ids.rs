//! Typed identifiers: one cannot be passed where another is meant, and each is valid once it exists.

use crate::text::{TextError, check_identifier};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Longest identifier that a client may choose (context, message and artifact ids), in bytes.
pub const MAX_CLIENT_ID_BYTES: usize = 256;

/// Why an identifier was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty, too long or not storable.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Not a UUID in its usual form.
    #[error("is not a UUID")]
    NotUuid,
    /// Not a name of lower-case letters, digits and hyphens.
    #[error(
        "must start with a lower-case letter or digit and hold only lower-case letters, digits and hyphens, at most 63"
    )]
    NotName,
    /// It is one of [`RESERVED_NAMES`].
    #[error("is reserved: paths of the server begin with it")]
    Reserved,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }
            /// The UUID within.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the hyphenated form: an id has exactly one spelling, so it can be compared as text.
                if text.len() != 36 {
                    return Err(IdError::NotUuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError::NotUuid)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text of 1 to [`MAX_CLIENT_ID_BYTES`] bytes without U+0000.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check_identifier(&text, MAX_CLIENT_ID_BYTES)?;
                Ok(Self(text))
            }
            /// The text within.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                Self(id.hyphenated().encode_lower(&mut text).to_owned())
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }
    };
}

uuid_id! {
    /// A task, made by the server as a `UUIDv7` (A2A 3.4.2).
    TaskId
}
uuid_id! {
    /// One incarnation of a worker process: made anew at every start.
    WorkerId
}
text_id! {
    /// A conversation of an owner; a client may choose it (A2A 3.4.1).
    ContextId
}
text_id! {
    /// A message, named by whoever wrote it (A2A 4.1.4).
    MessageId
}
text_id! {
    /// An artifact within its task (A2A 4.1.7).
    ArtifactId
}

/// Whom a task belongs to: a small number, the first part of every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(pub i32);

impl OwnerId {
    /// The owner of everything where authentication is switched off.
    pub const LOCAL: Self = Self(1);
}

/// A task together with its owner: what every row is addressed by, so that a read cannot forget the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// Whose task.
    pub owner: OwnerId,
    /// Which task.
    pub task: TaskId,
}

/// Names that no agent may have: paths of the server begin with them.
pub const RESERVED_NAMES: [&str; 17] = [
    "a2a",
    "agents",
    "console",
    "executor",
    "explore",
    "extendedAgentCard",
    "healthz",
    "inbound",
    "mcp",
    "message",
    "metrics",
    "operator",
    "readyz",
    "search",
    "tasks",
    "v1",
    "well-known",
];

/// The name of an agent, which is also the name of the executor that does its work and of its queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AgentName(String);

impl AgentName {
    /// Takes 1 to 63 lower-case letters, digits and hyphens, not starting with a hyphen.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = text.len() <= 63
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || b == b'-');
        if valid { Ok(Self(text)) } else { Err(IdError::NotName) }
    }
    /// Takes the same, unless it is reserved.
    pub fn unreserved(text: impl Into<String>) -> Result<Self, IdError> {
        let name = Self::new(text)?;
        if name.is_reserved() { Err(IdError::Reserved) } else { Ok(name) }
    }
    /// True for names that no new agent may have.
    pub fn is_reserved(&self) -> bool {
        RESERVED_NAMES.contains(&self.as_str())
    }
    /// The text within.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AgentName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}
impl From<AgentName> for String {
    fn from(name: AgentName) -> String {
        name.0
    }
}
impl FromStr for AgentName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}
impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentName({:?})", self.0)
    }
}

/// Place of an entry in its task's log: 1, 2, 3, … without gaps. 0 stands before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Before the first entry.
    pub const START: Self = Self(0);
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts how often the right to write to a task changed hands; it only rises.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub i32);

/// What a worker must show with every write: the epoch of its claim and a token that is random per claim, so that
/// a claim forgotten in a database crash is not mistaken for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// Epoch of the claim.
    pub epoch: Epoch,
    /// Random per claim.
    pub token: Uuid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_has_one_spelling() {
        let id: TaskId = "018f2f6e-7b7a-7000-8000-000000000001".parse().unwrap();
        assert_eq!(id.to_string(), "018f2f6e-7b7a-7000-8000-000000000001");
        assert!("018f2f6e7b7a70008000000000000001".parse::<TaskId>().is_err());
        assert!("{018f2f6e-7b7a-7000-8000-000000000001}".parse::<TaskId>().is_err());
        assert!("".parse::<TaskId>().is_err());
    }

    #[test]
    fn agent_names_fit_a_path_segment_and_a_queue_name() {
        assert!(AgentName::new("documents-2").is_ok());
        for bad in ["", "-a", "A", "a_b", "a/b", "ä", &"a".repeat(64)] {
            assert_eq!(AgentName::new(bad), Err(IdError::NotName), "{bad}");
        }
    }

    #[test]
    fn client_ids_survive_serde_and_are_checked_by_it() {
        let id: ContextId = serde_json::from_str("\"c 1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"c 1\"");
        assert!(serde_json::from_str::<ContextId>("\"\"").is_err());
        assert!(serde_json::from_str::<ContextId>("\"a\\u0000\"").is_err());
    }
}
