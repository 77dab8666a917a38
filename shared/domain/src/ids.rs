//! Typed identifiers. Each type is distinct, and every value is valid by construction.

use crate::text::{TextError, check_identifier};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Maximum length of identifiers that clients may choose (context, message and artifact ids), in
/// bytes.
pub const MAX_CLIENT_ID_BYTES: usize = 256;

/// The error of an invalid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty, too long or not storable.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Not a UUID in hyphenated form.
    #[error("is not a UUID")]
    NotUuid,
    /// Not a name of lower-case letters, digits and hyphens.
    #[error(
        "must start with a lower-case letter or digit and hold only lower-case letters, digits and hyphens, at most 63"
    )]
    NotName,
    /// One of [`RESERVED_NAMES`].
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
                // Only the hyphenated form: ids have one spelling and can be compared as text.
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
            /// Creates an id from a text of 1 to [`MAX_CLIENT_ID_BYTES`] bytes without U+0000.
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
    /// A task id, a `UUIDv7` made by the server (A2A 3.4.2).
    TaskId
}
uuid_id! {
    /// The id of one incarnation of a worker process, new at every start.
    WorkerId
}
text_id! {
    /// The id of a conversation of an owner; a client may choose it (A2A 3.4.1).
    ContextId
}
text_id! {
    /// The id of a message, chosen by its author (A2A 4.1.4).
    MessageId
}
text_id! {
    /// The id of an artifact within its task (A2A 4.1.7).
    ArtifactId
}

/// The id of the owner of tasks: a small number, the first column of every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(pub i32);

impl OwnerId {
    /// The owner of everything while authentication is off.
    pub const LOCAL: Self = Self(1);
}

/// The key of a task: its id together with its owner, so that no read can leave the owner out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The owner.
    pub owner: OwnerId,
    /// The task.
    pub task: TaskId,
}

/// Names that no agent may have, because paths of the server begin with them.
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

/// The name of an agent, and of its executor and its queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AgentName(String);

impl AgentName {
    /// Creates a name of 1 to 63 lower-case letters, digits and hyphens that does not start with a
    /// hyphen.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        // Names are path segments and parts of queue names: keep them short and plain.
        let valid = text.len() <= 63
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || b == b'-');
        if valid { Ok(Self(text)) } else { Err(IdError::NotName) }
    }
    /// Creates a name that is not reserved.
    pub fn unreserved(text: impl Into<String>) -> Result<Self, IdError> {
        let name = Self::new(text)?;
        if name.is_reserved() { Err(IdError::Reserved) } else { Ok(name) }
    }
    /// Tells whether the name is one of [`RESERVED_NAMES`].
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

/// The position of an entry in its task's log: 1, 2, 3, … without gaps. 0 is before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// The position before the first entry.
    pub const START: Self = Self(0);
    /// The position after this one.
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

/// The number of ownership changes of a task's run. Rises only.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub i32);

/// The fence that a worker presents with every write. Its token is random per claim, so a claim
/// lost in a database crash cannot be confused with the next one of the same epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The epoch of the claim.
    pub epoch: Epoch,
    /// The random token of the claim.
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
    fn client_ids_are_checked_on_deserialization() {
        let id: ContextId = serde_json::from_str("\"c 1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"c 1\"");
        assert!(serde_json::from_str::<ContextId>("\"\"").is_err());
        assert!(serde_json::from_str::<ContextId>("\"a\\u0000\"").is_err());
    }
}
