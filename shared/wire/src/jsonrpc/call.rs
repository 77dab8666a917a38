//! Reading a call.

use super::RpcId;
use crate::{
    ProtocolError,
    raw::{Field, Invalid, JsonPath, Parsed, Violations, envelope, scalar},
};
use longhaul_domain::json;
use serde_json::value::RawValue;

/// A call: its envelope is in order, its parameters are not looked at yet.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// To be given back with the answer.
    pub id: RpcId,
    /// What is called.
    pub method: String,
    params: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    /// The parameters: always an object, empty when none were given.
    pub fn params(&self) -> &'a RawValue {
        self.params.unwrap_or_else(|| serde_json::from_str("{}").unwrap_or(RawValue::NULL))
    }
}

/// A call that was refused, with its id where that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedCall {
    /// To be given back with the error.
    pub id: RpcId,
    /// Why.
    pub error: ProtocolError,
}

/// Most bytes of an id that are given back.
const MAX_ID: usize = 1024;

/// Reads a call from the body of a request.
pub fn read_call(body: &[u8]) -> Result<Call<'_>, RejectedCall> {
    let anonymous = |error| RejectedCall { id: RpcId::null(), error };
    let text = std::str::from_utf8(body).map_err(|error| {
        anonymous(ProtocolError::ParseError(format!("the body is not UTF-8: {error}")))
    })?;
    match envelope(text, ["jsonrpc", "id", "method", "params"]) {
        Some(members) => read_envelope(members),
        None => Err(anonymous(not_a_call(text))),
    }
}

/// Why a text has no envelope.
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

fn read_envelope(members: [Option<&RawValue>; 4]) -> Result<Call<'_>, RejectedCall> {
    let refuse =
        |id: RpcId, why: String| RejectedCall { id, error: ProtocolError::InvalidRequest(why) };
    let [version, id, method, params] = members;
    let id = read_id(id).map_err(|why| refuse(RpcId::null(), why.to_owned()))?;
    if version.is_none_or(|raw| raw.get() != "\"2.0\"") {
        return Err(refuse(id, "jsonrpc must be the string \"2.0\"".to_owned()));
    }
    let method = match quietly(|at| Field::new("method", method).required(at, scalar::filled_text))
    {
        Ok(method) => method,
        Err(why) => return Err(refuse(id, format!("method {why}"))),
    };
    let params = params.filter(|raw| raw.get() != "null");
    if params.is_some_and(|raw| !raw.get().starts_with('{')) {
        let error =
            ProtocolError::invalid("params", "must be a JSON object that names each parameter");
        return Err(RejectedCall { id, error });
    }
    Ok(Call { id, method, params })
}

fn read_id(id: Option<&RawValue>) -> Result<RpcId, &'static str> {
    // A2A has no notifications, so whoever leaves it out wants an answer as well.
    let Some(raw) = id else { return Ok(RpcId::null()) };
    let known = matches!(raw.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9' | b'n'));
    if !known || json::check(raw.get().as_bytes()).is_err() {
        return Err("id must be a string, a number or null");
    }
    if raw.get().len() > MAX_ID {
        return Err("id is too long; at most 1024 bytes are allowed");
    }
    Ok(RpcId::new(raw))
}

/// Reads something whose violations have no path to show; gives the first.
fn quietly<T>(read: impl FnOnce(&JsonPath<'_>) -> Parsed<T>) -> Result<T, String> {
    let sink = Violations::default();
    read(&JsonPath::root(&sink)).map_err(|Invalid| {
        sink.into_list().into_iter().next().map(|v| v.description).unwrap_or_default()
    })
}
