//! JSON-RPC requests and responses, as plain HTTP and event streams carry them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonRpcError {
    /// Its code.
    pub code: i64,
    /// Its message for people.
    pub message: String,
    /// Its data; null when there is none.
    pub data: Value,
}

/// A request with a fresh id.
pub(crate) fn request_object(method: &str, params: &Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    json!({"jsonrpc": "2.0", "id": NEXT.fetch_add(1, Ordering::Relaxed), "method": method, "params": params})
}

/// The result or error of a JSON-RPC response; `None` when it is not exactly one of them.
pub(crate) fn outcome(response: &mut Value) -> Option<Result<Value, JsonRpcError>> {
    let response = response.as_object_mut()?;
    if response.get("jsonrpc")? != "2.0" {
        return None;
    }
    match (response.remove("result"), response.remove("error")) {
        (Some(result), None) => Some(Ok(result)),
        (None, Some(mut error)) => {
            let (code, message) = (error["code"].as_i64()?, error["message"].as_str()?.to_owned());
            Some(Err(JsonRpcError { code, message, data: error["data"].take() }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{JsonRpcError, outcome};

    #[test]
    fn a_response_is_a_result_or_an_error_and_never_both() {
        assert_eq!(
            outcome(&mut json!({"jsonrpc": "2.0", "id": 1, "result": null})),
            Some(Ok(json!(null)))
        );
        let error = JsonRpcError { code: -32001, message: "no".to_owned(), data: json!(null) };
        let mut response =
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "no"}});
        assert_eq!(outcome(&mut response), Some(Err(error)));
        assert_eq!(
            outcome(
                &mut json!({"jsonrpc": "2.0", "result": 1, "error": {"code": 1, "message": ""}})
            ),
            None
        );
        assert_eq!(outcome(&mut json!({"result": 1})), None);
    }
}
