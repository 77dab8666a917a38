//! JSON-RPC calls, read on the server side.

use super::RpcId;
use crate::{
    ProtocolError,
    raw::{Invalid, JsonField, JsonPath, Parsed, Violations, envelope, scalar},
};
use longhaul_domain::json;
use serde_json::value::RawValue;

/// Call with a valid envelope; its parameters are still unread.
#[derive(Debug, Clone)]
pub struct RpcCall<'a> {
    /// Id to return with the response.
    pub id: RpcId,
    /// Called method.
    pub method: String,
    params: Option<&'a RawValue>,
}

impl<'a> RpcCall<'a> {
    /// Parameters: always an object, empty if none were given.
    pub fn params(&self) -> &'a RawValue {
        self.params.unwrap_or_else(|| serde_json::from_str("{}").unwrap_or(RawValue::NULL))
    }
}

/// Refused call, with its id if that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedCall {
    /// Id to return with the error.
    pub id: RpcId,
    /// Reason for the refusal.
    pub error: ProtocolError,
}

/// Maximum size of an id that is returned.
const MAX_ID_BYTES: usize = 1024;

/// Reads a call from a request body.
pub fn read_call(body: &[u8]) -> Result<RpcCall<'_>, RejectedCall> {
    let anonymous = |error| RejectedCall { id: RpcId::null(), error };
    let text = std::str::from_utf8(body).map_err(|error| {
        anonymous(ProtocolError::ParseError(format!("the body is not UTF-8: {error}")))
    })?;
    match envelope(text, ["jsonrpc", "id", "method", "params"]) {
        Some(members) => read_envelope(members),
        None => Err(anonymous(not_a_call(text))),
    }
}

/// Explains the lack of an envelope.
fn not_a_call(text: &str) -> ProtocolError {
    let raw: &RawValue = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) => return ProtocolError::ParseError(error.to_string()),
    };
    let why = match raw.get().as_bytes().first() {
        Some(b'{') => "the request holds a member name that is not valid Unicode",
        Some(b'[') => "batches are not part of A2A; send one request object at a time",
        _ => "the body must be a JSON-RPC request object",
    };
    ProtocolError::InvalidRequest(why.to_owned())
}

fn read_envelope(members: [Option<&RawValue>; 4]) -> Result<RpcCall<'_>, RejectedCall> {
    let refuse =
        |id: RpcId, why: String| RejectedCall { id, error: ProtocolError::InvalidRequest(why) };
    let [version, id, method, params] = members;
    let id = read_id(id).map_err(|why| refuse(RpcId::null(), why.to_owned()))?;
    // Checked after the id, so that the error can carry the id.
    if version.is_none_or(|raw| raw.get() != "\"2.0\"") {
        return Err(refuse(id, "jsonrpc must be the string \"2.0\"".to_owned()));
    }
    let method = match read_or_first_violation(|at| {
        JsonField::new("method", method).required(at, scalar::non_empty_text)
    }) {
        Ok(method) => method,
        Err(why) => return Err(refuse(id, format!("method {why}"))),
    };
    // Null counts as absent.
    let params = params.filter(|raw| raw.get() != "null");
    if params.is_some_and(|raw| !raw.get().starts_with('{')) {
        let error =
            ProtocolError::invalid("params", "must be a JSON object that names each parameter");
        return Err(RejectedCall { id, error });
    }
    Ok(RpcCall { id, method, params })
}

fn read_id(id: Option<&RawValue>) -> Result<RpcId, &'static str> {
    // A2A has no notifications, so a call without an id expects a response too.
    let Some(raw) = id else { return Ok(RpcId::null()) };
    // The id is echoed, so its type, encoding and size are checked.
    let known = matches!(raw.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9' | b'n'));
    if !known || json::check(raw.get().as_bytes()).is_err() {
        return Err("id must be a string, a number or null");
    }
    if raw.get().len() > MAX_ID_BYTES {
        return Err("id is too long; at most 1024 bytes are allowed");
    }
    Ok(RpcId::new(raw))
}

/// Reads a value and returns its first violation, without a path.
fn read_or_first_violation<T>(read: impl FnOnce(&JsonPath<'_>) -> Parsed<T>) -> Result<T, String> {
    let sink = Violations::default();
    read(&JsonPath::root(&sink)).map_err(|Invalid| {
        sink.into_list().into_iter().next().map(|v| v.description).unwrap_or_default()
    })
}
