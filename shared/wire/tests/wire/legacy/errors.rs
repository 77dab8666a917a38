//! Errors in the shapes of older dialects.

use crate::errors::all;
use longhaul_wire::{
    Dialect, ProtocolError, Violation, error_codes,
    jsonrpc::{RpcId, write_error},
};
use serde_json::Value;

fn written(dialect: Dialect, error: &ProtocolError) -> Value {
    serde_json::from_slice(&write_error(dialect, &RpcId::number(1), error).unwrap()).unwrap()
}

#[test]
fn codes_equal_those_of_1_0_except_for_missing_extensions() {
    for (error, json_rpc, ..) in all() {
        for dialect in [Dialect::V0_3, Dialect::V0_3Proto, Dialect::V0_1] {
            let code = written(dialect, &error)["error"]["code"].as_i64().unwrap();
            let expected = match json_rpc {
                -32008 => -32600,
                code => i64::from(code),
            };
            assert_eq!(code, expected, "{error:?} in {dialect:?}");
            let (old, new) = (dialect.codes(&error), error_codes::codes(&error));
            assert_eq!((old.http, old.grpc), (new.http, new.grpc));
        }
    }
}

#[test]
fn error_data_is_an_object_in_0_1_and_a_list_elsewhere() {
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
fn http_errors_have_the_shape_of_1_0_and_the_dialects_names() {
    let wrong = ProtocolError::InvalidParams(vec![Violation::new("message.parts", "is required")]);
    let body = String::from_utf8(wrong.to_http_body_in(Dialect::V0_3Proto).unwrap()).unwrap();
    assert!(body.contains(r#""field":"message.content""#), "{body}");
    assert_eq!(wrong.to_http_body_in(Dialect::V1_0), wrong.to_http_body());
}
