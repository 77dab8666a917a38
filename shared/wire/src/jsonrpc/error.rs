//! An answer that holds an error, in the dialect of the call.

use super::RpcId;
use crate::{
    Dialect, ProtocolError, WireError,
    details::Details,
    write::{Members, to_vec},
};
use serde::{Serialize, Serializer};

/// An answer that holds an error, in the dialect of the call. Where the dialect could not be made out, it is that of 1.0.
pub fn write_error(
    dialect: Dialect,
    id: &RpcId,
    error: &ProtocolError,
) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct RpcResponse<'a> {
        jsonrpc: &'static str,
        id: &'a RpcId,
        error: Error<'a>,
    }
    let error = dialect.named(error);
    to_vec(&RpcResponse { jsonrpc: super::VERSION, id, error: Error { dialect, error: &error } })
}

struct Error<'a> {
    dialect: Dialect,
    error: &'a ProtocolError,
}

impl Serialize for Error<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { dialect, error } = *self;
        let details = Some(Details::beside_code(error)).filter(|details| !details.is_empty());
        let mut members = Members::open(serializer)?;
        members.put("code", &dialect.codes(error).json_rpc)?;
        members.put("message", &dialect.message(error))?;
        match dialect {
            Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_3Proto => members.maybe("data", details)?,
            // There the data of an error are an object.
            Dialect::V0_1 => members.maybe("data", details.map(|details| Data { details }))?,
        }
        members.close()
    }
}

#[derive(Serialize)]
struct Data<'a> {
    details: Details<'a>,
}
