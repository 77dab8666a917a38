//! Common parts of HTTP responses.

use crate::service::BudgetPermit;
use axum::http::{HeaderMap, HeaderValue, header};
use longhaul_domain::{EntryKind, LogEntry};
use longhaul_wire::{ProtocolError, WireError, error::retry_after_seconds, native::LogEntryView};
use serde_json::value::RawValue;

/// Response bytes with the budget that they hold, until the last of them is handed over.
pub struct BudgetedBytes {
    bytes: Vec<u8>,
    _permit: BudgetPermit,
}

impl BudgetedBytes {
    /// Bytes encoded under this budget.
    pub const fn new(bytes: Vec<u8>, permit: BudgetPermit) -> Self {
        Self { bytes, _permit: permit }
    }
}

impl AsRef<[u8]> for BudgetedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Sets the headers of an error: `WWW-Authenticate` and `Retry-After`.
pub fn set_error_headers(error: &ProtocolError, headers: &mut HeaderMap) {
    if let ProtocolError::Unauthenticated { challenge } = error
        && let Ok(value) = HeaderValue::from_str(challenge)
    {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(wait)));
    }
}

/// Logs that a response cannot be encoded, and returns the error sent instead.
pub fn encode_failed(error: &WireError, request_id: String) -> ProtocolError {
    tracing::error!(%error, "response encoding failed");
    ProtocolError::Internal { request_id }
}

/// JSON view of a log entry; its body is written as stored, so numbers keep their form. `None` when
/// the body cannot be encoded.
pub fn log_entry_view(entry: &LogEntry) -> Option<LogEntryView> {
    let kind = match entry.body.kind() {
        EntryKind::Message => "message",
        EntryKind::Status => "status",
        EntryKind::Artifact => "artifact",
        EntryKind::Note => "note",
    };
    Some(LogEntryView {
        seq: entry.seq.0,
        at: entry.at,
        attempt: entry.attempt.into(),
        kind: kind.to_owned(),
        body: RawValue::from_string(entry.body.encode()).ok()?,
    })
}
