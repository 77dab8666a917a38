//! Answers with their JSON.

use crate::{ClientError, Result};
use longhaul_wire::WireError;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// An answer: its typed value, and the JSON as the server wrote it.
///
/// Programs that pass answers on should use `raw`: it holds every member, number and order as they
/// came.
#[derive(Debug)]
pub struct Decoded<T> {
    /// The JSON as it came.
    pub raw: Box<RawValue>,
    /// The typed value.
    pub value: T,
}

impl<T> Decoded<T> {
    /// Decodes A2A JSON with one of the readers of `longhaul-wire`.
    pub(crate) fn from_a2a(
        raw: Box<RawValue>,
        read: impl FnOnce(&RawValue) -> Result<T, WireError>,
    ) -> Result<Self> {
        let value = read(&raw).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(Self { raw, value })
    }
}

impl<T: DeserializeOwned> Decoded<T> {
    /// Decodes plain JSON.
    pub(crate) fn from_json(raw: Box<RawValue>) -> Result<Self> {
        let value = serde_json::from_str(raw.get())
            .map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(Self { raw, value })
    }
}
