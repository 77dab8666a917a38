//! Invalid parameters: every violation has its path and advice, and all are reported at once.

use longhaul_wire::{Dialect, Operation, ProtocolError, Violation, raw::MAX_VIOLATIONS, v1};
use serde_json::value::RawValue;

fn violations(operation: Operation, text: &str) -> Vec<Violation> {
    let raw = RawValue::from_string(text.to_owned()).unwrap();
    match Dialect::V1_0.read(operation, &raw) {
        Err(ProtocolError::InvalidParams(violations)) => violations,
        other => panic!("{text} was read as {other:?}"),
    }
}

fn refused(operation: Operation, text: &str, field: &str, says: &str) {
    let found = violations(operation, text);
    let matching = found.iter().find(|v| v.field == field);
    let Some(violation) = matching else { panic!("{field} is not among {found:?} of {text}") };
    assert!(violation.description.contains(says), "{:?} of {text}", violation.description);
}

fn message(members: &str) -> String {
    format!(r#"{{"message":{{{members}}}}}"#)
}

fn part(part: &str) -> String {
    message(&format!(r#""messageId":"m","role":"ROLE_USER","parts":[{part}]"#))
}

#[test]
fn a_message_must_be_complete() {
    let fine = r#""messageId":"m","role":"user""#;
    for (members, field, says) in [
        (r#""role":1,"parts":[{"text":"t"}]"#, "message.messageId", "is required"),
        (r#""messageId":"","role":1,"parts":[{"text":"t"}]"#, "message.messageId", "empty"),
        (r#""messageId":5,"role":1,"parts":[{"text":"t"}]"#, "message.messageId", "string"),
        (r#""messageId":"m","parts":[{"text":"t"}]"#, "message.role", "is required"),
        (r#""messageId":"m","role":0,"parts":[{"text":"t"}]"#, "message.role", "unspecified"),
        (
            r#""messageId":"m","role":"ROLE_UNSPECIFIED","parts":[{"text":"t"}]"#,
            "message.role",
            "unspecified",
        ),
        (r#""messageId":"m","role":"agent","parts":[{"text":"t"}]"#, "message.role", "ROLE_USER"),
        (r#""messageId":"m","role":"boss","parts":[{"text":"t"}]"#, "message.role", "ROLE_AGENT"),
        (fine, "message.parts", "at least one"),
        (&format!(r#"{fine},"parts":[]"#), "message.parts", "at least one"),
        (&format!(r#"{fine},"parts":[ ]"#), "message.parts", "at least one"),
        (&format!(r#"{fine},"parts":null"#), "message.parts", "at least one"),
        (&format!(r#"{fine},"parts":"t""#), "message.parts", "array"),
    ] {
        refused(Operation::Send, &message(members), field, says);
        refused(Operation::Stream, &message(members), field, says);
    }
    refused(Operation::Send, "{}", "message", "is required");
    refused(Operation::Send, r#"{"message":null}"#, "message", "is required");
    refused(Operation::Send, r#"{"message":[]}"#, "message", "object");
    refused(Operation::List, r#"{"status":"unknown"}"#, "status", "TASK_STATE_SUBMITTED");
}

#[test]
fn a_part_has_exactly_one_content() {
    for text in ["{}", r#"{"filename":"a"}"#, r#"{"text":null}"#] {
        refused(Operation::Send, &part(text), "message.parts[0]", "no content");
    }
    for text in [r#"{"text":"a","url":"http://h"}"#, r#"{"raw":"","data":1}"#] {
        refused(Operation::Send, &part(text), "message.parts[0]", "more than one");
    }
    refused(Operation::Send, &part("null"), "message.parts[0]", "object");
    refused(Operation::Send, &part(r#"{"text":1}"#), "message.parts[0].text", "string");
    refused(Operation::Send, &part(r#"{"raw":"*"}"#), "message.parts[0].raw", "base64");
    refused(Operation::Send, &part(r#"{"url":""}"#), "message.parts[0].url", "empty");
    refused(
        Operation::Send,
        &part(r#"{"text":"a","metadata":[]}"#),
        "message.parts[0].metadata",
        "object",
    );
}

#[test]
fn unstorable_text_is_refused_with_its_path() {
    let nul = r#""a\u0000b""#;
    let lone = r#""\ud800""#;
    for (bad, says) in [(nul, "U+0000"), (lone, "surrogate")] {
        for (text, field) in [
            (part(&format!(r#"{{"text":{bad}}}"#)), "message.parts[0].text"),
            (part(&format!(r#"{{"data":{{"k":{bad}}}}}"#)), "message.parts[0].data"),
            (part(&format!(r#"{{"data":{{{bad}:1}}}}"#)), "message.parts[0].data"),
            (part(&format!(r#"{{"text":"t","filename":{bad}}}"#)), "message.parts[0].filename"),
            (
                part(&format!(r#"{{"text":"t","metadata":{{"k":{bad}}}}}"#)),
                "message.parts[0].metadata",
            ),
            (
                message(&format!(r#""messageId":{bad},"role":1,"parts":[{{"text":"t"}}]"#)),
                "message.messageId",
            ),
            (format!(r#"{{"tenant":{bad}}}"#), "tenant"),
        ] {
            refused(Operation::Send, &text, field, says);
        }
        refused(Operation::Get, &format!(r#"{{"id":{bad}}}"#), "id", says);
    }
    let unknown = format!(r#"{{"id":"x","other":{nul}}}"#);
    refused(Operation::Get, &unknown, "params", "U+0000");
}

#[test]
fn nesting_is_bounded_even_in_unread_members() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    // The message around the data has four levels of its own.
    let data = |levels| part(&format!(r#"{{"data":{}}}"#, deep(levels)));
    let raw = RawValue::from_string(data(60)).unwrap();
    assert!(v1::read_send(&raw).is_ok());
    refused(Operation::Send, &data(61), "params", "64 levels");
    refused(Operation::Send, &data(65), "message.parts[0].data", "64 levels");
    refused(Operation::Get, &format!(r#"{{"id":"x","o":{}}}"#, deep(64)), "params", "64 levels");
    refused(
        Operation::Get,
        &format!(r#"{{"id":"x","o":{}}}"#, deep(50_000)),
        "params",
        "64 levels",
    );
}

#[test]
fn numbers_have_bounds() {
    for bad in [
        "-1",
        "1.5",
        "2147483648",
        r#""x""#,
        r#""""#,
        "1e400",
        "true",
        "[]",
        r#""NaN""#,
        r#""inf""#,
    ] {
        let get = format!(r#"{{"id":"x","historyLength":{bad}}}"#);
        refused(Operation::Get, &get, "historyLength", "integer from 0 to 2147483647");
        let list = format!(r#"{{"historyLength":{bad}}}"#);
        refused(Operation::List, &list, "historyLength", "integer");
    }
    for bad in ["0", "101", "-5", "1.5"] {
        let text = format!(r#"{{"pageSize":{bad}}}"#);
        refused(Operation::List, &text, "pageSize", "integer from 1 to 100");
    }
    // The same limit holds inside a configuration.
    let text = r#"{"message":{"messageId":"m","role":1,"parts":[{"text":"t"}]},"configuration":{"historyLength":-1}}"#;
    refused(Operation::Send, text, "configuration.historyLength", "integer");
}

#[test]
fn list_filters_must_be_valid() {
    refused(Operation::List, r#"{"status":"done"}"#, "status", "TASK_STATE_CANCELED, ");
    refused(Operation::List, r#"{"status":9}"#, "status", "TASK_STATE_SUBMITTED");
    refused(
        Operation::List,
        r#"{"statusTimestampAfter":"today"}"#,
        "statusTimestampAfter",
        "RFC 3339",
    );
    for beyond in ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"]
    {
        let text = format!(r#"{{"statusTimestampAfter":"{beyond}"}}"#);
        refused(Operation::List, &text, "statusTimestampAfter", "0001 to 9999");
    }
    refused(Operation::List, r#"{"statusTimestampAfter":1}"#, "statusTimestampAfter", "string");
    refused(Operation::List, r#"{"includeArtifacts":1}"#, "includeArtifacts", "true or false");
    let long = format!(r#"{{"contextId":"{}"}}"#, "c".repeat(257));
    refused(Operation::List, &long, "contextId", "256");
    refused(Operation::List, "[]", "params", "object");
}

#[test]
fn ids_are_required_where_something_is_named() {
    for operation in [Operation::Get, Operation::Cancel, Operation::Subscribe] {
        refused(operation, "{}", "id", "is required");
        refused(operation, r#"{"id":""}"#, "id", "empty");
        refused(operation, r#"{"id":7}"#, "id", "string");
    }
    for operation in [Operation::GetPush, Operation::DeletePush] {
        refused(operation, r#"{"id":"p"}"#, "taskId", "is required");
        refused(operation, r#"{"taskId":"t"}"#, "id", "is required");
    }
    refused(Operation::ListPush, "{}", "taskId", "is required");
    refused(Operation::CreatePush, r#"{"url":"http://h"}"#, "taskId", "is required");
}

#[test]
fn a_webhook_has_a_url() {
    for bad in ["", "h", "ftp://h/x", "http://", "https:///x", "http://a b"] {
        let text = format!(r#"{{"taskId":"t","url":"{bad}"}}"#);
        refused(Operation::CreatePush, &text, "url", "http or https");
    }
    let text = r#"{"taskId":"t","url":"http://h","authentication":{}}"#;
    refused(Operation::CreatePush, text, "authentication.scheme", "is required");
}

#[test]
fn all_violations_are_reported_at_once() {
    let found = violations(
        Operation::Send,
        r#"{"tenant":1,"message":{"role":"x","parts":[{},{"text":"ok"},{"raw":"*"}],"contextId":7},
           "configuration":{"historyLength":-1,"returnImmediately":"maybe"},"metadata":"m"}"#,
    );
    let fields: Vec<&str> = found.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "tenant",
            "message.messageId",
            "message.contextId",
            "message.role",
            "message.parts[0]",
            "message.parts[2].raw",
            "configuration.historyLength",
            "configuration.returnImmediately",
            "metadata",
        ]
    );
}

#[test]
fn the_list_of_reported_violations_is_bounded() {
    let found = violations(Operation::Send, &part(&vec!["{}"; 10_000].join(",")));
    assert_eq!(found.len(), MAX_VIOLATIONS + 1);
    let left_out = 10_000 - MAX_VIOLATIONS;
    let last = &found[MAX_VIOLATIONS];
    assert_eq!(last.field, "params");
    assert!(last.description.contains(&format!(" {left_out} more values")), "{last:?}");
}

#[test]
fn a_wide_object_is_read_in_one_pass() {
    // A quadratic reader would take minutes here.
    let members: Vec<String> = (0..200_000).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let text = format!(r#"{{{},"id":"x"}}"#, members.join(","));
    let raw = RawValue::from_string(text).unwrap();
    assert!(v1::read_get(&raw).is_ok());
}
