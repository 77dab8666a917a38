//! Invalid requests: violations have the same paths as in JSON, and no bytes make a decoder panic.

use crate::{peer, samples};
use longhaul_proto::{pb, v0, v1};
use longhaul_wire::{Dialect, Operation, ProtocolError, v1::V1};
use proptest::prelude::*;
use prost::Message;
use serde_json::value::RawValue;

/// Paths of the violations.
fn fields<T: std::fmt::Debug>(read: Result<T, ProtocolError>) -> Vec<String> {
    match read {
        Err(ProtocolError::InvalidParams(list)) => list.into_iter().map(|v| v.field).collect(),
        other => panic!("{other:?}"),
    }
}

fn json_fields(dialect: Dialect, operation: Operation, json: &str) -> Vec<String> {
    let raw = RawValue::from_string(json.to_owned()).unwrap();
    fields(dialect.read(operation, &raw))
}

#[test]
fn an_invalid_send_of_1_0_is_refused_with_the_paths_of_json() {
    for (json, expected) in [
        ("{}", "message"),
        (r#"{"message":{"messageId":"m","role":"ROLE_USER"}}"#, "message.parts"),
        (r#"{"message":{"role":"ROLE_USER","parts":[{"text":"a"}]}}"#, "message.messageId"),
        (r#"{"message":{"messageId":"m","parts":[{"text":"a"}]}}"#, "message.role"),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_AGENT","parts":[{"text":"a"}]}}"#,
            "message.role",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"a"},{}]}}"#,
            "message.parts[1]",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"a\u0000"}]}}"#,
            "message.parts[0].text",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"url":""}]}}"#,
            "message.parts[0].url",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"a"}]},"configuration":{"historyLength":-1}}"#,
            "configuration.historyLength",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"a"}]},
               "configuration":{"taskPushNotificationConfig":{"url":"ftp://a"}}}"#,
            "configuration.taskPushNotificationConfig.url",
        ),
    ] {
        let peer_message = peer::from_json_text("lf.a2a.v1.SendMessageRequest", json);
        let read = fields(v1::read_send(peer_message.to_ours()));
        assert_eq!(read, [expected], "{json}");
        assert_eq!(read, json_fields(Dialect::V1_0, Operation::Send, json), "{json}");
    }
}

#[test]
fn an_invalid_send_of_0_3_is_refused_with_the_paths_of_json() {
    for (json, expected) in [
        ("{}", "message"),
        (r#"{"message":{"messageId":"m","role":"ROLE_USER"}}"#, "message.content"),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_AGENT","content":[{"text":"a"}]}}"#,
            "message.role",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","content":[{}]}}"#,
            "message.content[0]",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","content":[{"file":{"mimeType":"a/b"}}]}}"#,
            "message.content[0].file",
        ),
        (
            r#"{"message":{"messageId":"m","role":"ROLE_USER","content":[{"text":"a"}]},
               "configuration":{"pushNotification":{"url":"nope"}}}"#,
            "configuration.pushNotification.url",
        ),
    ] {
        let peer_message = peer::from_json_text("a2a.v1.SendMessageRequest", json);
        let read = fields(v0::read_send(peer_message.to_ours()));
        assert_eq!(read, json_fields(Dialect::V0_3Proto, Operation::Send, json), "{json}");
        assert_eq!(read, [expected], "{json}");
    }
}

#[test]
fn invalid_lists_and_names_are_refused_with_the_paths_of_json() {
    for (json, expected) in [
        (r#"{"pageSize":0}"#, "pageSize"),
        (r#"{"pageSize":101}"#, "pageSize"),
        (r#"{"historyLength":-5}"#, "historyLength"),
        (r#"{"status":17}"#, "status"),
    ] {
        let peer_message = peer::from_json_text("lf.a2a.v1.ListTasksRequest", json);
        let read = fields(v1::read_list(peer_message.to_ours()));
        assert_eq!(read, [expected], "{json}");
        assert_eq!(read, json_fields(Dialect::V1_0, Operation::List, json), "{json}");
    }
    // A bare id is accepted as a resource name.
    for (name, refused) in [("", true), ("tasks/", true), ("tasks/x", false), ("x", false)] {
        let read =
            v0::read_get(pb::v0::GetTaskRequest { name: name.to_owned(), history_length: 0 });
        assert_eq!(read.is_err(), refused, "{name}");
    }
    let config = |name: &str| {
        v0::read_get_push(pb::v0::GetTaskPushNotificationConfigRequest { name: name.to_owned() })
    };
    assert_eq!(fields(config("tasks/x")), ["name"]);
    assert_eq!(fields(config("tasks/x/pushNotificationConfigs/")), ["name"]);
    assert!(config("tasks/x/pushNotificationConfigs/y").is_ok());
}

#[test]
fn times_out_of_range_are_refused() {
    let after = |seconds, nanos| pb::v1::ListTasksRequest {
        status_timestamp_after: Some(prost_types::Timestamp { seconds, nanos }),
        ..Default::default()
    };
    // Seconds of the first moment of year 1, and of the first after year 9999.
    let (first, end) = (-62_135_596_800, 253_402_300_800);
    for (seconds, nanos) in [
        (i64::MAX, 0),
        (i64::MIN, 0),
        (-8_000_000_000_000, 0),
        (first - 1, 0),
        (end, 0),
        (0, -1),
        (0, 1_000_000_000),
    ] {
        let read = fields(v1::read_list(after(seconds, nanos)));
        assert_eq!(read, ["statusTimestampAfter"], "{seconds} {nanos}");
    }
    for (seconds, nanos) in [(first, 0), (end - 1, 999_999_999)] {
        assert!(v1::read_list(after(seconds, nanos)).is_ok(), "{seconds} {nanos}");
    }
}

#[test]
fn all_violations_are_reported_at_once() {
    let request = pb::v1::SendMessageRequest {
        message: Some(pb::v1::Message {
            role: 9,
            parts: vec![pb::v1::Part::default(); 3],
            ..Default::default()
        }),
        ..Default::default()
    };
    let fields = fields(v1::read_send(request));
    assert_eq!(fields.len(), 5, "{fields:?}");
}

/// Runs every decoder of client requests.
fn decode_all(bytes: &[u8]) {
    fn one<T: Message + Default, R>(bytes: &[u8], read: impl Fn(T) -> R) {
        let _ = T::decode(bytes).map(read);
    }
    one(bytes, v1::read_send);
    one(bytes, v1::read_get);
    one(bytes, v1::read_list);
    one(bytes, v1::read_cancel);
    one(bytes, v1::read_subscribe);
    one(bytes, v1::read_create_push);
    one(bytes, v1::read_get_push);
    one(bytes, v1::read_delete_push);
    one(bytes, v1::read_list_push);
    one(bytes, v1::read_extended_card);
    one(bytes, v0::read_send);
    one(bytes, v0::read_get);
    one(bytes, v0::read_cancel);
    one(bytes, v0::read_subscribe);
    one(bytes, v0::read_create_push);
    one(bytes, v0::read_get_push);
    one(bytes, v0::read_delete_push);
    one(bytes, v0::read_list_push);
    one(bytes, v0::read_extended_card);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn byte_soup_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    #[test]
    fn nearly_valid_requests_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let peer_message = peer::from_json("lf.a2a.v1.SendMessageRequest", &V1(&samples::send_request()));
        let mut bytes = peer_message.bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        decode_all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        decode_all(&bytes);
    }
}

#[test]
fn extreme_nesting_is_refused_without_overflow() {
    // Lists nested deeper than any stack: field 6 of Value, field 1 of ListValue.
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        let mut outer = Vec::new();
        prost::encoding::bytes::encode(1, &bytes, &mut outer);
        bytes = Vec::new();
        prost::encoding::bytes::encode(6, &outer, &mut bytes);
        if bytes.len() > 50_000 {
            break;
        }
    }
    assert!(prost_types::Value::decode(bytes.as_slice()).is_err());
}
