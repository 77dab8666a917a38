//! JSON-RPC requests and responses, with parameters and results as raw JSON.

use crate::{ApiKind, ClientError, Result, error::RpcError};
use longhaul_wire::v1::V1;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// A request. Each connection carries one call at a time, so the id is constant.
#[derive(Serialize)]
pub struct JsonRpcRequest<'a> {
    jsonrpc: &'static str,
    id: u32,
    method: &'a str,
    params: &'a RawValue,
}

impl<'a> JsonRpcRequest<'a> {
    pub const fn new(method: &'a str, params: &'a RawValue) -> Self {
        Self { jsonrpc: "2.0", id: 1, method, params }
    }
}

#[derive(Deserialize)]
struct JsonRpcEnvelope {
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// Writes the parameters of a request as A2A 1.0 JSON.
pub fn params<T>(request: &T) -> Result<Box<RawValue>>
where
    for<'a> V1<'a, T>: Serialize,
{
    to_raw_value(&V1(request)).map_err(|error| ClientError::InvalidRequest(error.to_string()))
}

/// Reads the result of a response, or its error.
pub fn result(url: &str, status: u16, body: &[u8]) -> Result<Box<RawValue>> {
    let http_error = || ClientError::Http { url: url.to_owned(), status, api: ApiKind::A2a };
    match unwrap_envelope(body) {
        Ok(result) => Ok(result),
        Err(ClientError::Unreadable(_)) if status >= 400 => Err(http_error()),
        // An error object that repeats the HTTP status comes from a proxy whose server is away, not
        // from A2A.
        Err(ClientError::Rpc(error)) if error.code == i64::from(status) => Err(http_error()),
        Err(error) => Err(error),
    }
}

/// Reads a response's envelope.
pub fn unwrap_envelope(body: &[u8]) -> Result<Box<RawValue>> {
    let envelope: JsonRpcEnvelope =
        serde_json::from_slice(body).map_err(|error| ClientError::Unreadable(error.to_string()))?;
    match (envelope.error, envelope.result) {
        // Some servers send `"result": null` beside an error.
        (Some(error), _) => Err(ClientError::Rpc(error)),
        (None, Some(result)) => Ok(result),
        (None, None) => {
            Err(ClientError::Unreadable("it has neither a result nor an error".to_owned()))
        }
    }
}
