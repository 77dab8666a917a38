//! JSON-RPC envelopes: codes and ids of refused calls, and responses as a client reads them.

use longhaul_wire::{
    Dialect, ProtocolError, Violation, WireError,
    error_codes::codes,
    jsonrpc::{RpcId, RpcResponse, read_call, read_response, write_error, write_result},
};
use std::time::Duration;

fn refusal(body: &[u8]) -> (String, i32, ProtocolError) {
    let rejected = read_call(body).expect_err("a call that must be refused");
    (rejected.id.as_str().to_owned(), codes(&rejected.error).json_rpc, rejected.error)
}

#[test]
fn a_refused_call_is_answered_with_its_id_if_known() {
    let cases: [(&[u8], &str, i32); 24] = [
        (b"", "null", -32700),
        (b"{", "null", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1", "null", -32700),
        (b"{} {}", "null", -32700),
        (b"{\"id\":\"\xff\"}", "null", -32700),
        (b"not json", "null", -32700),
        (b"[]", "null", -32600),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"GetTask"}]"#, "null", -32600),
        (b"1", "null", -32600),
        (b"null", "null", -32600),
        (b"\"x\"", "null", -32600),
        (b"{}", "null", -32600),
        (br#"{"jsonrpc":"2.0","id":{},"method":"GetTask"}"#, "null", -32600),
        (br#"{"jsonrpc":"2.0","id":[1],"method":"GetTask"}"#, "null", -32600),
        (br#"{"jsonrpc":"2.0","id":true,"method":"GetTask"}"#, "null", -32600),
        (br#"{"jsonrpc":"2.0","id":"\ud800","method":"GetTask"}"#, "null", -32600),
        (br#"{"id":1,"method":"GetTask"}"#, "1", -32600),
        (br#"{"jsonrpc":"1.0","id":1,"method":"GetTask"}"#, "1", -32600),
        (br#"{"jsonrpc":2.0,"id":"a","method":"GetTask"}"#, "\"a\"", -32600),
        (br#"{"jsonrpc":"2.0","id":1}"#, "1", -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":5}"#, "1", -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":""}"#, "1", -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[1]}"#, "1", -32602),
        (br#"{"jsonrpc":"2.0","id":1.5,"method":"GetTask","params":"x"}"#, "1.5", -32602),
    ];
    for (body, id, code) in cases {
        let (got_id, got_code, error) = refusal(body);
        let text = String::from_utf8_lossy(body);
        assert_eq!((got_id.as_str(), got_code), (id, code), "{text}: {error}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    let says = |body: &[u8]| refusal(body).2.to_string();
    assert!(says(b"[]").contains("batches are not part of A2A"));
    assert!(says(br#"{"jsonrpc":"2","id":1,"method":"x"}"#).contains("\"2.0\""));
}

#[test]
fn a_call_without_an_id_has_the_id_null() {
    let call = read_call(br#"{"jsonrpc":"2.0","method":"m"}"#).unwrap();
    assert_eq!(call.id, RpcId::null());
}

#[test]
fn ids_are_returned_verbatim() {
    for id in ["1", "-0", "1.0", "12345678901234567890123", "\"a\\u0062\"", "null", "\"\""] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
        let call = read_call(body.as_bytes()).unwrap();
        let answer = String::from_utf8(write_result(&call.id, &1).unwrap()).unwrap();
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":1}}"#));
    }
}

#[test]
fn absent_and_null_parameters_are_empty() {
    for params in ["", r#","params":null"#, r#","params":{}"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ListTasks"{params}}}"#);
        assert_eq!(read_call(body.as_bytes()).unwrap().params().get(), "{}");
    }
}

#[test]
fn a_deep_body_is_refused_without_recursion() {
    // A recursive parser would overflow the stack.
    let deep = "[".repeat(1_000_000);
    assert_eq!(refusal(deep.as_bytes()).1, -32700);
    let closed = format!("{deep}{}", "]".repeat(1_000_000));
    assert_eq!(refusal(closed.as_bytes()).1, -32600);
}

fn remote(error: &ProtocolError) -> longhaul_wire::jsonrpc::RpcError {
    let body = write_error(Dialect::V1_0, &RpcId::number(3), error).unwrap();
    match read_response(&body).unwrap() {
        (id, RpcResponse::Error(remote)) if id == RpcId::number(3) => remote,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_reads_errors_with_their_details() {
    let missing = remote(&ProtocolError::TaskNotFound { task: "t1".to_owned() });
    assert_eq!(missing.code, -32001);
    assert_eq!(missing.reason.as_deref(), Some("TASK_NOT_FOUND"));
    assert_eq!(missing.metadata.get("taskId").map(String::as_str), Some("t1"));
    let violations = vec![Violation::new("a.b[0]", "is wrong")];
    assert_eq!(remote(&ProtocolError::InvalidParams(violations.clone())).violations, violations);
    let busy = remote(&ProtocolError::Unavailable { retry_after: Duration::from_secs(5) });
    assert_eq!(busy.retry_after, Some(Duration::from_secs(5)));
}

#[test]
fn a_client_reads_results_and_errors_of_other_servers() {
    let (_, answer) = read_response(br#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap();
    assert!(matches!(answer, RpcResponse::Result(raw) if raw.get() == "null"));
    let body = br#"{"id":1,"result":null,"error":{"code":-1,"message":"m","data":"free text"}}"#;
    let (_, answer) = read_response(body).unwrap();
    assert!(
        matches!(answer, RpcResponse::Error(error) if error.code == -1 && error.message == "m")
    );
    assert!(matches!(read_response(b"<html>"), Err(WireError::NotJsonRpc(_))));
    assert!(matches!(read_response(b"{}"), Err(WireError::Invalid(_))));
    assert!(matches!(read_response(b"[]"), Err(WireError::Invalid(_))));
}
