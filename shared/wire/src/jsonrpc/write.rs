//! JSON-RPC output: responses, and calls for the client side.

use super::{JSONRPC_VERSION, RpcId};
use crate::{
    Dialect, ProtocolError, WireError,
    error_details::ErrorDetails,
    write::{ObjectWriter, to_vec},
};
use serde::{Serialize, Serializer};

/// Writes a response with a result.
pub fn write_result(id: &RpcId, result: &impl Serialize) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct ResultResponse<'a, T> {
        jsonrpc: &'static str,
        id: &'a RpcId,
        result: &'a T,
    }
    to_vec(&ResultResponse { jsonrpc: JSONRPC_VERSION, id, result })
}

/// Text before and after the result of a response, for results that are serialized once for many
/// clients.
pub fn result_envelope(id: &RpcId) -> (String, &'static str) {
    (format!(r#"{{"jsonrpc":"{JSONRPC_VERSION}","id":{},"result":"#, id.as_str()), "}")
}

/// Writes a call.
pub fn write_call(id: &RpcId, method: &str, params: &impl Serialize) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct CallBody<'a, T> {
        jsonrpc: &'static str,
        id: &'a RpcId,
        method: &'a str,
        params: &'a T,
    }
    to_vec(&CallBody { jsonrpc: JSONRPC_VERSION, id, method, params })
}

/// Writes an error response in the dialect of the call, or in 1.0 if the dialect is unknown.
pub fn write_error(
    dialect: Dialect,
    id: &RpcId,
    error: &ProtocolError,
) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct ErrorResponse<'a> {
        jsonrpc: &'static str,
        id: &'a RpcId,
        error: ErrorBody<'a>,
    }
    let error = dialect.with_dialect_paths(error);
    to_vec(&ErrorResponse {
        jsonrpc: JSONRPC_VERSION,
        id,
        error: ErrorBody { dialect, error: &error },
    })
}

struct ErrorBody<'a> {
    dialect: Dialect,
    error: &'a ProtocolError,
}

impl Serialize for ErrorBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { dialect, error } = *self;
        let details = Some(ErrorDetails::for_json_rpc(error)).filter(|details| !details.is_empty());
        let mut members = ObjectWriter::open(serializer)?;
        members.put("code", &dialect.codes(error).json_rpc)?;
        members.put("message", &dialect.message(error))?;
        match dialect {
            Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_3Proto => {
                members.put_some("data", details)?;
            }
            // In 0.1 the error data must be an object.
            Dialect::V0_1 => {
                members.put_some("data", details.map(|details| ErrorData { details }))?;
            }
        }
        members.close()
    }
}

#[derive(Serialize)]
struct ErrorData<'a> {
    details: ErrorDetails<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_inserted_into_its_envelope_equals_a_written_response() {
        for id in [RpcId::null(), RpcId::number(7)] {
            let (before, after) = result_envelope(&id);
            let whole = write_result(&id, &[1]).unwrap();
            assert_eq!(format!("{before}[1]{after}").as_bytes(), whole);
        }
    }
}
