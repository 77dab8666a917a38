//! What answers of every binding over HTTP have in common.

use crate::service::Held;
use axum::http::{HeaderMap, HeaderValue, header};
use longhaul_wire::{ProtocolError, WireError, error::seconds};

/// An answer as bytes, with the room that it has: free when the last of them was handed over.
pub struct Written {
    bytes: Vec<u8>,
    _held: Held,
}

impl Written {
    /// These bytes, which were written from an answer that has this room.
    pub const fn new(bytes: Vec<u8>, held: Held) -> Self {
        Self { bytes, _held: held }
    }
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Puts into headers what HTTP has a header for: how to authenticate, and when to come back.
pub fn say(error: &ProtocolError, headers: &mut HeaderMap) {
    if let ProtocolError::Unauthenticated { challenge } = error
        && let Ok(value) = HeaderValue::from_str(challenge)
    {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
    }
}

/// What is answered instead of an answer that cannot be written.
pub fn unwritable(error: &WireError, request_id: String) -> ProtocolError {
    tracing::error!(%error, "an answer cannot be written");
    ProtocolError::Internal { request_id }
}
