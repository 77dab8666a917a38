//! Writing answers, and calls for the client side.

use super::{RpcId, VERSION};
use crate::{WireError, write::to_vec};
use serde::Serialize;

/// An answer that holds a result.
pub fn write_result(id: &RpcId, result: &impl Serialize) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct RpcResponse<'a, T> {
        jsonrpc: &'static str,
        id: &'a RpcId,
        result: &'a T,
    }
    to_vec(&RpcResponse { jsonrpc: VERSION, id, result })
}

/// What stands before and behind the result in an answer: for a result that is written once and goes to many.
pub fn result_envelope(id: &RpcId) -> (String, &'static str) {
    (format!(r#"{{"jsonrpc":"{VERSION}","id":{},"result":"#, id.as_str()), "}")
}

/// A call.
pub fn write_call(id: &RpcId, method: &str, params: &impl Serialize) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct Call<'a, T> {
        jsonrpc: &'static str,
        id: &'a RpcId,
        method: &'a str,
        params: &'a T,
    }
    to_vec(&Call { jsonrpc: VERSION, id, method, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_is_put_in_later_makes_the_same_answer() {
        for id in [RpcId::null(), RpcId::number(7)] {
            let (before, after) = result_envelope(&id);
            let whole = write_result(&id, &[1]).unwrap();
            assert_eq!(format!("{before}[1]{after}").as_bytes(), whole);
        }
    }
}
