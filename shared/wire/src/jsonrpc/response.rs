//! JSON-RPC responses, read on the client side.

use super::RpcId;
use crate::{
    WireError,
    error_details::{BAD_REQUEST, ERROR_INFO, RETRY_INFO},
    raw::{
        JsonField, JsonPath, Parsed, RawJson, Violation, elements, envelope, object, read_root,
        read_text, scalar,
    },
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Response of a server.
#[derive(Debug, Clone)]
pub enum RpcResponse<'a> {
    /// Unread result.
    Result(&'a RawValue),
    /// Error.
    Error(RpcError),
}

/// Error that a server returned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RpcError {
    /// JSON-RPC error code.
    pub code: i64,
    /// Human-readable message.
    pub message: String,
    /// Machine-readable name, from `ErrorInfo`.
    pub reason: Option<String>,
    /// Facts by name, from `ErrorInfo`.
    pub metadata: BTreeMap<String, String>,
    /// Invalid parameters, from `BadRequest`.
    pub violations: Vec<Violation>,
    /// Delay before a retry, from `RetryInfo`.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        self.violations.iter().try_for_each(|v| write!(f, "\n  {} {}", v.field, v.description))
    }
}

impl std::error::Error for RpcError {}

/// Reads a response: a body, or the data of an SSE event.
pub fn read_response(body: &[u8]) -> Result<(RpcId, RpcResponse<'_>), WireError> {
    const NAMES: [&str; 3] = ["id", "result", "error"];
    let text = std::str::from_utf8(body).ok();
    let Some([id, result, error]) = text.and_then(|text| envelope(text, NAMES)) else {
        return Err(not_a_response(body, NAMES));
    };
    let failed = JsonField::new("error", error);
    let outcome = read_text(body, |at| match (result, failed.present()) {
        // A null error means no error, while a null result is a result.
        (_, Some(_)) => failed.required(at, read_error).map(RpcResponse::Error),
        (Some(result), None) => Ok(RpcResponse::Result(result)),
        (None, None) => at.refuse("must hold result or error"),
    });
    Ok((id.map_or_else(RpcId::null, RpcId::new), outcome.map_err(WireError::Invalid)?))
}

/// Explains the lack of an envelope.
fn not_a_response(body: &[u8], names: [&'static str; 3]) -> WireError {
    match serde_json::from_slice::<&RawValue>(body) {
        Err(error) => WireError::NotJsonRpc(error.to_string()),
        Ok(raw) => match read_root(raw, |raw, at| object(raw, at, names).map(drop)) {
            Err(violations) => WireError::Invalid(violations),
            Ok(()) => WireError::NotJsonRpc("it is not a JSON object".to_owned()),
        },
    }
}

fn read_error(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<RpcError> {
    let [code, message, data] = object(raw, at, ["code", "message", "data"])?;
    let code = code.required(at, |raw, at| scalar::integer(raw, at, i64::MIN..=i64::MAX));
    let message = message.text(at);
    let mut remote = RpcError { code: code?, message: message?, ..RpcError::default() };
    // Unknown details must not hide the error itself.
    if let Some(data) = data.present().filter(|data| data.get().starts_with('[')) {
        elements(data, at, |_, detail| {
            if let Ok(read) = read_root(detail, read_detail) {
                read.apply(&mut remote);
            }
        })?;
    }
    Ok(remote)
}

enum ErrorDetail {
    Info(Option<String>, BTreeMap<String, String>),
    Violations(Vec<Violation>),
    Retry(Option<Duration>),
    Other,
}

impl ErrorDetail {
    fn apply(self, remote: &mut RpcError) {
        match self {
            Self::Info(reason, metadata) => (remote.reason, remote.metadata) = (reason, metadata),
            Self::Violations(violations) => remote.violations.extend(violations),
            Self::Retry(wait) => remote.retry_after = wait,
            Self::Other => {}
        }
    }
}

fn read_detail(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ErrorDetail> {
    let [kind, reason, metadata, violations, delay] =
        object(raw, at, ["@type", "reason", "metadata", "fieldViolations", "retryDelay"])?;
    Ok(match kind.text(at)?.as_str() {
        ERROR_INFO => ErrorDetail::Info(reason.optional_text(at)?, metadata.map(at, scalar::text)?),
        BAD_REQUEST => ErrorDetail::Violations(violations.list(at, read_violation)?),
        RETRY_INFO => ErrorDetail::Retry(delay.optional_text(at)?.as_deref().and_then(duration)),
        _ => ErrorDetail::Other,
    })
}

fn read_violation(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Violation> {
    let [field, description] = object(raw, at, ["field", "description"])?;
    Ok(Violation { field: field.text(at)?, description: description.text(at)? })
}

/// Parses a protobuf JSON duration: seconds with an optional fraction, then `s`.
fn duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    // Refuses negative and oversized durations.
    Duration::try_from_secs_f64(seconds).ok()
}
