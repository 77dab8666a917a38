//! Writing: straight into bytes, from borrowed values, without a tree between.

use crate::raw::Violation;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A value that cannot be converted, for a reason on this side of the wire or on that of the server we called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A content that is kept apart was to be written; it must be put back first.
    #[error("cannot be written: {0}")]
    Unresolved(String),
    /// What a server answered is not JSON-RPC.
    #[error("the server's answer is not JSON-RPC: {0}")]
    NotAnAnswer(String),
    /// What a server answered is not what the protocol says.
    #[error("the server's answer is not valid: {}", list(.0))]
    Invalid(Vec<Violation>),
}

fn list(violations: &[Violation]) -> String {
    let lines: Vec<String> =
        violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
    lines.join("; ")
}

/// What most answers fit into, in bytes.
const USUAL: usize = 1 << 10;

/// Writes a value as one line of JSON. Only a content that is kept apart makes it fail.
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, WireError> {
    // Every value of this crate has string keys and finite numbers: the error can only be our own.
    let mut bytes = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| WireError::Unresolved(error.to_string()))?;
    Ok(bytes)
}

/// Writes the members of an object in the given order, leaving out what is not set.
pub(crate) struct Members<S: Serializer>(S::SerializeMap);

impl<S: Serializer> Members<S> {
    pub fn open(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Self)
    }
    /// Always.
    pub fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), S::Error> {
        self.0.serialize_entry(name, value)
    }
    /// When there is one.
    pub fn maybe<T: Serialize>(&mut self, name: &str, value: Option<T>) -> Result<(), S::Error> {
        value.map_or(Ok(()), |value| self.put(name, &value))
    }
    /// When it is not empty.
    pub fn list<T: Serialize>(&mut self, name: &str, list: &[T]) -> Result<(), S::Error> {
        if list.is_empty() { Ok(()) } else { self.put(name, list) }
    }
    /// When it is true.
    pub fn flag(&mut self, name: &str, value: bool) -> Result<(), S::Error> {
        if value { self.put(name, &true) } else { Ok(()) }
    }
    pub fn close(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// A value written by its `Display`.
pub(crate) struct Shown<T>(pub T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes in standard base64, padded.
pub(crate) struct Base64<'a>(pub &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}
