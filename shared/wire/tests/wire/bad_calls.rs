//! Invalid bodies in every dialect: each yields the right error code and never an internal error.

use longhaul_wire::{
    Dialect, Negotiation, Operation,
    jsonrpc::{read_call, write_error},
};
use serde_json::Value;

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

/// Error code that a server returns for a body; `None` if the call is valid.
fn code(dialect: Dialect, body: &[u8]) -> Option<i64> {
    let (id, error) = match read_call(body) {
        Err(rejected) => (rejected.id, rejected.error),
        Ok(call) => {
            let version = Some(dialect.version());
            let called = Negotiation::default().call(version, &call.method, call.params());
            let read = called.and_then(|(spoken, operation)| {
                // HTTP of 0.3 has another shape but the same readers.
                let spoken = if spoken.version() == dialect.version() { dialect } else { spoken };
                spoken.read(operation, call.params())
            });
            match read {
                Ok(_) => return None,
                Err(error) => (call.id, error),
            }
        }
    };
    let answer: Value =
        serde_json::from_slice(&write_error(dialect, &id, &error).unwrap()).unwrap();
    if answer["error"]["code"] == INVALID_PARAMS {
        let data = &answer["error"]["data"];
        let details = if dialect == Dialect::V0_1 { &data["details"] } else { data };
        let violation = &details[0]["fieldViolations"][0];
        assert!(violation["field"].as_str().is_some_and(|field| !field.is_empty()), "{answer}");
        assert!(violation["description"].as_str().is_some_and(|why| !why.is_empty()), "{answer}");
    }
    answer["error"]["code"].as_i64()
}

fn call(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

/// Call that sends a message with these parts and members.
fn send(dialect: Dialect, parts: &str, members: &str) -> String {
    let name = if dialect == Dialect::V0_3Proto { "content" } else { "parts" };
    call(
        dialect.method(Operation::Send).unwrap(),
        &format!(
            r#"{{"id":"t","message":{{"messageId":"m","role":"user","{name}":{parts}{members}}}}}"#
        ),
    )
}

#[test]
fn invalid_envelopes_are_refused() {
    // Every dialect shares the envelope, so the codes are the same.
    for dialect in Dialect::ALL {
        let get = dialect.method(Operation::Get).unwrap();
        for (body, expected) in [
            ("not json".to_owned(), PARSE_ERROR),
            (String::new(), PARSE_ERROR),
            (format!("{}x", call(get, r#"{"id":"t"}"#)), PARSE_ERROR),
            ("{\"id\":\"\u{1}\"}".to_owned(), PARSE_ERROR),
            (format!("[{}]", call(get, r#"{"id":"t"}"#)), INVALID_REQUEST),
            ("[]".to_owned(), INVALID_REQUEST),
            ("7".to_owned(), INVALID_REQUEST),
            ("{}".to_owned(), INVALID_REQUEST),
            (call(get, "{}").replace("2.0", "1.0"), INVALID_REQUEST),
            (call(get, "{}").replace(r#""id":1"#, r#""id":[1]"#), INVALID_REQUEST),
            (call(get, "{}").replace(r#""id":1"#, r#""id":true"#), INVALID_REQUEST),
            (call(get, "{}").replace(r#""id":1,"#, ""), INVALID_PARAMS),
            (call("tasks/none", "{}"), METHOD_NOT_FOUND),
            (call(&get.to_uppercase(), "{}"), METHOD_NOT_FOUND),
            (call(get, "[]"), INVALID_PARAMS),
            (call(get, r#""t""#), INVALID_PARAMS),
            (call(get, "{}"), INVALID_PARAMS),
        ] {
            assert_eq!(code(dialect, body.as_bytes()), Some(expected), "{dialect:?} {body}");
        }
        let invalid = [call(get, r#"{"id":""#).as_bytes(), b"\xff\"}}"].concat();
        assert_eq!(code(dialect, &invalid), Some(PARSE_ERROR));
        assert_eq!(code(dialect, call(get, r#"{"id":"t"}"#).as_bytes()), None);
    }
}

#[test]
fn invalid_messages_are_refused() {
    // Over the depth limit, with the levels around it.
    let deep =
        format!(r#"[{{"text":"t","metadata":{{"k":{}{}}}}}]"#, "[".repeat(64), "]".repeat(64));
    for dialect in Dialect::ALL {
        let fine = r#"[{"text":"t"}]"#;
        for (parts, members) in [
            ("[]", ""),
            ("null", ""),
            ("{}", ""),
            ("[{}]", ""),
            ("[null]", ""),
            (r#"[{"text":"t","data":{}}]"#, ""),
            (r#"[{"text":"\u0000"}]"#, ""),
            (r#"[{"text":"\ud800"}]"#, ""),
            (r#"[{"text":"t","metadata":{"\udc00":1}}]"#, ""),
            (r#"[{"text":"t","metadata":[]}]"#, ""),
            (&deep, ""),
            (fine, r#","role":"agent""#),
            (fine, r#","role":"ROLE_UNSPECIFIED""#),
            (fine, r#","role":null"#),
            (fine, r#","role":"robot""#),
            (fine, r#","messageId":"""#),
            (fine, r#","messageId":7"#),
            (fine, r#","metadata":"m""#),
            (fine, r#","extensions":{}"#),
        ] {
            let body = send(dialect, parts, members);
            assert_eq!(code(dialect, body.as_bytes()), Some(INVALID_PARAMS), "{dialect:?} {body}");
        }
        let body = send(dialect, fine, "");
        assert_eq!(code(dialect, body.as_bytes()), None, "{dialect:?} {body}");
    }
}

#[test]
fn lists_and_history_have_bounds() {
    for dialect in [Dialect::V1_0, Dialect::V0_3, Dialect::V0_3Proto] {
        let list = dialect.method(Operation::List).unwrap();
        for params in [
            r#"{"pageSize":0}"#,
            r#"{"pageSize":101}"#,
            r#"{"pageSize":-1}"#,
            r#"{"pageSize":1.5}"#,
            r#"{"historyLength":-1}"#,
            r#"{"status":"done"}"#,
            r#"{"statusTimestampAfter":"yesterday"}"#,
            r#"{"includeArtifacts":"maybe"}"#,
        ] {
            assert_eq!(
                code(dialect, call(list, params).as_bytes()),
                Some(INVALID_PARAMS),
                "{params}"
            );
        }
        assert_eq!(code(dialect, call(list, r#"{"pageSize":100}"#).as_bytes()), None);
    }
}

#[test]
fn an_unserved_version_is_refused_with_the_served_ones() {
    let call = read_call(br#"{"jsonrpc":"2.0","id":1,"method":"GetTask"}"#).unwrap();
    for version in ["0.2", "2.0", "1", "x", "1.1", "0.30", "-1.0", "1.0x\u{0}"] {
        let refused = Negotiation::default().call(Some(version), &call.method, call.params());
        let message = refused.unwrap_err().to_string();
        assert!(message.ends_with("one of: 1.0, 0.3, 0.1"), "{message}");
        assert!(!message.contains('\0'));
    }
}
