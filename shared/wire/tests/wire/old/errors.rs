//! Errors as clients of older dialects know them.

use crate::errors::all;
use longhaul_wire::{
    ProtocolError, Violation,
    dialect::Dialect,
    jsonrpc::{RpcId, write_error},
    table,
};
use serde_json::Value;

fn written(dialect: Dialect, error: &ProtocolError) -> Value {
    serde_json::from_slice(&write_error(dialect, &RpcId::number(1), error).unwrap()).unwrap()
}

#[test]
fn codes_are_those_of_1_0_but_for_what_did_not_exist() {
    for (error, json_rpc, ..) in all() {
        for dialect in [Dialect::V0_3, Dialect::V0_3Proto, Dialect::V0_1] {
            let code = written(dialect, &error)["error"]["code"].as_i64().unwrap();
            let expected = match json_rpc {
                -32008 => -32600,
                code => i64::from(code),
            };
            assert_eq!(code, expected, "{error:?} in {dialect:?}");
            let (old, new) = (dialect.codes(&error), table::codes(&error));
            assert_eq!((old.http, old.grpc), (new.http, new.grpc));
        }
    }
}

#[test]
fn data_of_an_error_are_an_object_where_they_must_be() {
    for (error, ..) in all() {
        let data = &written(Dialect::V0_1, &error)["error"]["data"];
        assert!(data.is_null() || data["details"].is_array(), "{data}");
        let data = &written(Dialect::V0_3, &error)["error"]["data"];
        assert!(data.is_null() || data.is_array(), "{data}");
    }
}

#[test]
fn paths_and_methods_have_the_names_of_the_dialect() {
    let wrong = ProtocolError::InvalidParams(vec![Violation::new("message.contextId", "differs")]);
    for (dialect, path) in [(Dialect::V0_3, "message.contextId"), (Dialect::V0_1, "sessionId")] {
        let answer = written(dialect, &wrong).to_string();
        assert!(answer.contains(&format!(r#""field":"{path}""#)), "{answer}");
        assert!(answer.contains(&format!("Invalid parameters: {path} differs")), "{answer}");
    }
    let text = written(Dialect::V0_3, &ProtocolError::PushNotificationNotSupported).to_string();
    assert!(text.contains("message/stream") && !text.contains("SendStreaming"), "{text}");
}

#[test]
fn over_http_an_error_is_that_of_1_0_with_the_names_of_the_dialect() {
    let wrong = ProtocolError::InvalidParams(vec![Violation::new("message.parts", "is required")]);
    let body = String::from_utf8(wrong.to_http_body_in(Dialect::V0_3Proto).unwrap()).unwrap();
    assert!(body.contains(r#""field":"message.content""#), "{body}");
    assert_eq!(wrong.to_http_body_in(Dialect::V1_0), wrong.to_http_body());
}
