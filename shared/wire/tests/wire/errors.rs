//! Every error has its codes, its reason and a helpful message.

use longhaul_domain::{Scope, TaskState};
use longhaul_wire::{ProtocolError, Violation, error::retry_after_seconds, error_codes::codes};
use std::time::Duration;

pub fn all() -> Vec<(ProtocolError, i32, u16, i32, &'static str)> {
    use ProtocolError as E;
    let text = || "x".to_owned();
    let retry_after = Duration::from_secs(1);
    vec![
        (E::TaskNotFound { task: text() }, -32001, 404, 5, "TASK_NOT_FOUND"),
        (
            E::TaskNotCancelable { task: text(), state: TaskState::Completed },
            -32002,
            400,
            9,
            "TASK_NOT_CANCELABLE",
        ),
        (E::PushNotificationNotSupported, -32003, 400, 9, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        (E::UnsupportedOperation(text()), -32004, 400, 9, "UNSUPPORTED_OPERATION"),
        (
            E::ContentTypeNotSupported { media_type: text(), accepted: vec![text()] },
            -32005,
            400,
            3,
            "CONTENT_TYPE_NOT_SUPPORTED",
        ),
        (E::InvalidAgentResponse(text()), -32006, 500, 13, "INVALID_AGENT_RESPONSE"),
        (E::ExtendedAgentCardNotConfigured, -32007, 400, 9, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
        (E::ExtensionSupportRequired { uri: text() }, -32008, 400, 9, "EXTENSION_SUPPORT_REQUIRED"),
        (
            E::VersionNotSupported { asked: text(), supported: "1.0" },
            -32009,
            400,
            9,
            "VERSION_NOT_SUPPORTED",
        ),
        (E::ParseError(text()), -32700, 400, 3, "PARSE_ERROR"),
        (E::InvalidRequest(text()), -32600, 400, 3, "INVALID_REQUEST"),
        (E::MethodNotFound(text()), -32601, 404, 12, "METHOD_NOT_FOUND"),
        (E::InvalidParams(vec![Violation::new("a", "b")]), -32602, 400, 3, "INVALID_PARAMS"),
        (E::Unauthenticated { challenge: text() }, -32050, 401, 16, "UNAUTHENTICATED"),
        (E::PermissionDenied { scope: Scope::Write }, -32051, 403, 7, "PERMISSION_DENIED"),
        (E::ResourceExhausted { why: text(), retry_after }, -32052, 429, 8, "RESOURCE_EXHAUSTED"),
        (E::Unavailable { retry_after }, -32053, 503, 14, "UNAVAILABLE"),
        (E::TooLarge { limit: 10 }, -32600, 413, 8, "REQUEST_TOO_LARGE"),
        (E::Internal { request_id: text() }, -32603, 500, 13, "INTERNAL"),
    ]
}

#[test]
fn every_error_has_the_codes_of_the_specification() {
    for (error, json_rpc, http, grpc, reason) in all() {
        let got = codes(&error);
        assert_eq!(
            (got.json_rpc, got.http, got.grpc.number()),
            (json_rpc, http, grpc),
            "{error:?}"
        );
        assert_eq!(error.reason(), reason);
    }
}

#[test]
fn errors_of_the_specification_have_its_domain() {
    for (error, json_rpc, ..) in all() {
        let body = String::from_utf8(error.to_http_body().unwrap()).unwrap();
        // Errors of JSON-RPC count too: outside JSON-RPC clients know them by reason only.
        let of_a2a = (-32009..=-32001).contains(&json_rpc)
            || matches!(json_rpc, -32700 | -32601 | -32602)
            || matches!(error, ProtocolError::InvalidRequest(_));
        assert_eq!(body.contains(r#""domain":"a2a-protocol.org""#), of_a2a, "{body}");
        assert_eq!(body.contains("google.rpc.BadRequest"), json_rpc == -32602, "{body}");
        assert_eq!(body.contains(r#""retryDelay":"1s""#), error.retry_after().is_some(), "{body}");
    }
}

#[test]
fn retry_delays_are_whole_seconds_and_at_least_one() {
    for (wait, shown) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
        assert_eq!(retry_after_seconds(Duration::from_millis(wait)), shown);
    }
}

#[test]
fn echoed_client_text_is_bounded() {
    let long = "x".repeat(100_000);
    for error in [
        ProtocolError::TaskNotFound { task: long.clone() },
        ProtocolError::ContentTypeNotSupported { media_type: long, accepted: Vec::new() },
    ] {
        assert!(error.to_http_body().unwrap().len() < 1000);
    }
}
