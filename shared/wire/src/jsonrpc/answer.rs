//! Reading an answer, for the client side.

use super::RpcId;
use crate::{
    WireError,
    details::{BAD_REQUEST, ERROR_INFO, RETRY_INFO},
    raw::{
        Field, JsonPath, Parsed, RawJson, Violation, elements, envelope, object, read_root,
        read_text, scalar,
    },
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt, time::Duration};

/// What a server answered.
#[derive(Debug, Clone)]
pub enum RpcResponse<'a> {
    /// The result, not looked at yet.
    Result(&'a RawValue),
    /// An error.
    Error(Remote),
}

/// An error that a server answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remote {
    /// JSON-RPC error code.
    pub code: i64,
    /// For people.
    pub message: String,
    /// From `ErrorInfo`: the machine-readable name.
    pub reason: Option<String>,
    /// From `ErrorInfo`: facts by name.
    pub metadata: BTreeMap<String, String>,
    /// From `BadRequest`: what is wrong with the parameters.
    pub violations: Vec<Violation>,
    /// From `RetryInfo`: when to try again.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        self.violations.iter().try_for_each(|v| write!(f, "\n  {} {}", v.field, v.description))
    }
}

impl std::error::Error for Remote {}

/// Reads an answer: a body, or the data of an SSE event.
pub fn read_answer(body: &[u8]) -> Result<(RpcId, RpcResponse<'_>), WireError> {
    const NAMES: [&str; 3] = ["id", "result", "error"];
    let text = std::str::from_utf8(body).ok();
    let Some([id, result, error]) = text.and_then(|text| envelope(text, NAMES)) else {
        return Err(not_an_answer(body, NAMES));
    };
    let failed = Field::new("error", error);
    let outcome = read_text(body, |at| match (result, failed.present()) {
        // A result may be null; an error that is null is none.
        (_, Some(_)) => failed.required(at, read_error).map(RpcResponse::Error),
        (Some(result), None) => Ok(RpcResponse::Result(result)),
        (None, None) => at.refuse("must hold result or error"),
    });
    Ok((id.map_or_else(RpcId::null, RpcId::new), outcome.map_err(WireError::Invalid)?))
}

/// Why a body has no envelope.
fn not_an_answer(body: &[u8], names: [&'static str; 3]) -> WireError {
    match serde_json::from_slice::<&RawValue>(body) {
        Err(error) => WireError::NotAnAnswer(error.to_string()),
        Ok(raw) => match read_root(raw, |raw, at| object(raw, at, names).map(drop)) {
            Err(violations) => WireError::Invalid(violations),
            Ok(()) => WireError::NotAnAnswer("it is not a JSON object".to_owned()),
        },
    }
}

fn read_error(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Remote> {
    let [code, message, data] = object(raw, at, ["code", "message", "data"])?;
    let code = code.required(at, |raw, at| scalar::integer(raw, at, i64::MIN..=i64::MAX));
    let message = message.text(at);
    let mut remote = Remote { code: code?, message: message?, ..Remote::default() };
    // Details of another shape are no reason to lose the error itself.
    if let Some(data) = data.present().filter(|data| data.get().starts_with('[')) {
        elements(data, at, |_, detail| {
            if let Ok(read) = read_root(detail, read_detail) {
                read.apply(&mut remote);
            }
        })?;
    }
    Ok(remote)
}

enum Detail {
    Info(Option<String>, BTreeMap<String, String>),
    Violations(Vec<Violation>),
    Retry(Option<Duration>),
    Other,
}

impl Detail {
    fn apply(self, remote: &mut Remote) {
        match self {
            Self::Info(reason, metadata) => (remote.reason, remote.metadata) = (reason, metadata),
            Self::Violations(violations) => remote.violations.extend(violations),
            Self::Retry(wait) => remote.retry_after = wait,
            Self::Other => {}
        }
    }
}

fn read_detail(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Detail> {
    let [kind, reason, metadata, violations, delay] =
        object(raw, at, ["@type", "reason", "metadata", "fieldViolations", "retryDelay"])?;
    Ok(match kind.text(at)?.as_str() {
        ERROR_INFO => Detail::Info(reason.some_text(at)?, metadata.map(at, scalar::text)?),
        BAD_REQUEST => Detail::Violations(violations.list(at, read_violation)?),
        RETRY_INFO => Detail::Retry(delay.some_text(at)?.as_deref().and_then(duration)),
        _ => Detail::Other,
    })
}

fn read_violation(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Violation> {
    let [field, description] = object(raw, at, ["field", "description"])?;
    Ok(Violation { field: field.text(at)?, description: description.text(at)? })
}

/// Protobuf's JSON form of a duration: seconds, with a fraction perhaps, and an `s`.
fn duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
