//! Invalid parameters before 1.0: paths use the dialect's own names, and all violations are
//! reported at once.

use super::{LEGACY, text};
use longhaul_domain::OwnerId;
use longhaul_wire::{Dialect, Operation, ProtocolError, Request, Violation, raw::MAX_VIOLATIONS};

fn violations(dialect: Dialect, operation: Operation, params: &str) -> Vec<Violation> {
    match dialect.read(operation, &text(params)) {
        Err(ProtocolError::InvalidParams(violations)) => violations,
        other => panic!("{params} was read as {other:?} in {dialect:?}"),
    }
}

fn refused(dialect: Dialect, operation: Operation, params: &str, field: &str, says: &str) {
    let found = violations(dialect, operation, params);
    let matching = found.iter().find(|v| v.field == field);
    let Some(violation) = matching else {
        panic!("{field} is not among {found:?} of {params} in {dialect:?}")
    };
    assert!(violation.description.contains(says), "{:?} of {params}", violation.description);
}

fn parts_name(dialect: Dialect) -> &'static str {
    if dialect == Dialect::V0_3Proto { "content" } else { "parts" }
}

fn message(members: &str) -> String {
    format!(r#"{{"id":"order-7","message":{{{members}}}}}"#)
}

fn part(dialect: Dialect, part: &str) -> String {
    let name = parts_name(dialect);
    message(&format!(r#""messageId":"m","role":"user","{name}":[{part}]"#))
}

#[test]
fn a_message_must_be_complete() {
    for (dialect, _) in LEGACY {
        let name = parts_name(dialect);
        let (user, agent) = match dialect {
            Dialect::V0_3Proto => ("ROLE_USER", "ROLE_AGENT"),
            _ => ("user", "agent"),
        };
        let fine = r#""messageId":"m","role":"user""#;
        for (members, field, says) in [
            (
                format!(r#""messageId":"","role":1,"{name}":[{{"text":"t"}}]"#),
                "message.messageId",
                "empty",
            ),
            (
                format!(r#""messageId":5,"role":1,"{name}":[{{"text":"t"}}]"#),
                "message.messageId",
                "string",
            ),
            (
                format!(r#""messageId":"m","{name}":[{{"text":"t"}}]"#),
                "message.role",
                "is required",
            ),
            (
                format!(r#""messageId":"m","role":0,"{name}":[{{"text":"t"}}]"#),
                "message.role",
                agent,
            ),
            (
                format!(r#""messageId":"m","role":"boss","{name}":[{{"text":"t"}}]"#),
                "message.role",
                user,
            ),
            (
                format!(r#""messageId":"m","role":"agent","{name}":[{{"text":"t"}}]"#),
                "message.role",
                user,
            ),
            (fine.to_owned(), &format!("message.{name}"), "at least one"),
            (format!(r#"{fine},"{name}":[]"#), &format!("message.{name}"), "at least one"),
            (format!(r#"{fine},"{name}":[ ]"#), &format!("message.{name}"), "at least one"),
            (format!(r#"{fine},"{name}":null"#), &format!("message.{name}"), "at least one"),
            (format!(r#"{fine},"{name}":"t""#), &format!("message.{name}"), "array"),
        ] {
            refused(dialect, Operation::Send, &message(&members), field, says);
            refused(dialect, Operation::Stream, &message(&members), field, says);
        }
        refused(dialect, Operation::Send, r#"{"id":"t"}"#, "message", "is required");
        refused(dialect, Operation::Send, r#"{"id":"t","message":[]}"#, "message", "object");
        refused(dialect, Operation::Send, "[]", "params", "object");
    }
    for dialect in [Dialect::V0_3, Dialect::V0_3Proto] {
        let anonymous = message(r#""role":"user","parts":[{"text":"t"}]"#);
        refused(dialect, Operation::Send, &anonymous, "message.messageId", "is required");
    }
    // In 0.1 a message always names its task.
    let homeless = r#"{"message":{"role":"user","parts":[{"text":"t"}]}}"#;
    refused(Dialect::V0_1, Operation::Send, homeless, "id", "is required");
    let long = "x".repeat(257);
    let long = message(r#""role":"user","parts":[{"text":"t"}]"#).replace("order-7", &long);
    refused(Dialect::V0_1, Operation::Send, &long, "id", "256");
}

#[test]
fn an_impossible_task_id_resolves_to_no_task() {
    let params = text(&format!(r#"{{"id":"{}"}}"#, "x".repeat(257)));
    for dialect in [Dialect::V0_3, Dialect::V0_1] {
        for operation in [Operation::Get, Operation::Cancel, Operation::Subscribe] {
            let asked = dialect.read(operation, &params).unwrap();
            let task = match &asked {
                Request::Get(asked) => &asked.id,
                Request::Cancel(asked) => &asked.id,
                Request::Subscribe(asked) => &asked.id,
                other => panic!("{other:?}"),
            };
            assert_eq!(task.resolve(OwnerId(1)), None, "{task:?} in {dialect:?}");
        }
    }
}

#[test]
fn the_state_unknown_is_refused() {
    for (dialect, _) in LEGACY {
        for spelling in ["unknown", "TASK_STATE_UNKNOWN"] {
            let params = format!(r#"{{"status":"{spelling}"}}"#);
            refused(dialect, Operation::List, &params, "status", "must be one of");
        }
    }
}

#[test]
fn a_part_has_exactly_one_content() {
    for (dialect, _) in LEGACY {
        let at = |rest: &str| format!("message.{}[0]{rest}", parts_name(dialect));
        let refused = |given: &str, rest: &str, says: &str| {
            refused(dialect, Operation::Send, &part(dialect, given), &at(rest), says);
        };
        for given in ["{}", r#"{"name":"a"}"#, r#"{"text":null}"#] {
            refused(given, "", "no content");
        }
        for given in
            [r#"{"text":"a","file":{"uri":"http://h"}}"#, r#"{"kind":"text","text":"a","data":{}}"#]
        {
            refused(given, "", "more than one");
        }
        refused(r#"{"kind":"image","text":"a"}"#, ".kind", "text, file or data");
        refused(r#"{"type":"image","text":"a"}"#, ".type", "text, file or data");
        refused(r#"{"kind":"text"}"#, ".text", "is required");
        refused(r#"{"kind":"file","text":"t"}"#, ".file", "is required");
        refused(r#"{"kind":"data"}"#, ".data", "is required");
        refused(r#"{"kind":"text","text":1}"#, ".text", "string");
        refused(r#"{"file":{}}"#, ".file", "no content");
        refused(r#"{"file":{"bytes":"","uri":"http://h"}}"#, ".file", "more than one");
        refused(r#"{"file":{"bytes":"*"}}"#, ".file.bytes", "base64");
        refused(r#"{"file":{"fileWithBytes":"*"}}"#, ".file.fileWithBytes", "base64");
        refused(r#"{"file":{"uri":""}}"#, ".file.uri", "empty");
        refused(r#"{"file":"http://h"}"#, ".file", "object");
        refused("null", "", "object");
        refused(r#"{"text":"a","metadata":[]}"#, ".metadata", "object");
    }
    let bare = part(Dialect::V0_3Proto, r#"{"data":[1]}"#);
    refused(Dialect::V0_3Proto, Operation::Send, &bare, "message.content[0].data", "object");
    let bare = part(Dialect::V0_3Proto, r#"{"data":{"k":1}}"#);
    refused(Dialect::V0_3Proto, Operation::Send, &bare, "message.content[0].data.data", "required");
}

#[test]
fn unstorable_text_is_refused_with_its_path() {
    for (dialect, _) in LEGACY {
        for (bad, says) in [(r#""a\u0000b""#, "U+0000"), (r#""\ud800""#, "surrogate")] {
            let at = |rest: &str| format!("message.{}[0].{rest}", parts_name(dialect));
            for (given, field) in [
                (format!(r#"{{"text":{bad}}}"#), at("text")),
                (format!(r#"{{"kind":"data","data":{{"k":{bad}}}}}"#), at("data")),
                (format!(r#"{{"file":{{"uri":"http://h","name":{bad}}}}}"#), at("file.name")),
                (format!(r#"{{"text":"t","metadata":{{{bad}:1}}}}"#), at("metadata")),
            ] {
                refused(dialect, Operation::Send, &part(dialect, &given), &field, says);
            }
            refused(dialect, Operation::Get, &format!(r#"{{"id":{bad}}}"#), "id", says);
            let unknown = format!(r#"{{"id":"x","other":{bad}}}"#);
            refused(dialect, Operation::Get, &unknown, "params", says);
        }
    }
}

#[test]
fn nesting_and_numbers_have_bounds() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for (dialect, _) in LEGACY {
        let data = part(dialect, &format!(r#"{{"kind":"data","data":{deep}}}"#));
        let field = format!("message.{}[0].data", parts_name(dialect));
        refused(dialect, Operation::Send, &data, &field, "64 levels");
        let unknown = format!(r#"{{"id":"x","other":{deep}}}"#);
        refused(dialect, Operation::Get, &unknown, "params", "64 levels");
        for bad in ["-1", "1.5", "2147483648", r#""x""#, "true"] {
            let get = format!(r#"{{"id":"x","historyLength":{bad}}}"#);
            refused(dialect, Operation::Get, &get, "historyLength", "integer from 0");
        }
        let states =
            if dialect == Dialect::V0_3Proto { "TASK_STATE_CANCELLED" } else { "canceled" };
        refused(dialect, Operation::List, r#"{"status":"done"}"#, "status", states);
    }
}

#[test]
fn ids_are_required_where_something_is_named() {
    for operation in [Operation::Get, Operation::Cancel, Operation::Subscribe] {
        for dialect in [Dialect::V0_3, Dialect::V0_1] {
            refused(dialect, operation, "{}", "id", "is required");
            refused(dialect, operation, r#"{"id":""}"#, "id", "empty");
        }
        refused(Dialect::V0_3Proto, operation, "{}", "name", "is required");
        refused(Dialect::V0_3Proto, operation, r#"{"name":"tasks/"}"#, "name", "tasks/{id}");
    }
    let field = "pushNotificationConfigId";
    refused(Dialect::V0_3, Operation::DeletePush, r#"{"id":"t"}"#, field, "is required");
    for bad in [r#"{"name":"tasks/t"}"#, r#"{"name":"tasks/t/pushNotificationConfigs/"}"#] {
        for operation in [Operation::GetPush, Operation::DeletePush] {
            refused(Dialect::V0_3Proto, operation, bad, "name", "pushNotificationConfigs");
        }
    }
    refused(Dialect::V0_3Proto, Operation::ListPush, "{}", "parent", "is required");
    refused(Dialect::V0_3, Operation::ListPush, "{}", "id", "is required");
}

#[test]
fn a_webhook_has_a_task_and_a_url() {
    let config = r#""pushNotificationConfig":{"url":"ftp://h"}"#;
    let create = Operation::CreatePush;
    let url = "pushNotificationConfig.url";
    refused(Dialect::V0_3, create, &format!(r#"{{"taskId":"t",{config}}}"#), url, "http");
    refused(Dialect::V0_1, create, &format!(r#"{{"id":"t",{config}}}"#), url, "http");
    refused(Dialect::V0_3, create, &format!("{{{config}}}"), "taskId", "is required");
    refused(Dialect::V0_3, create, r#"{"taskId":"t"}"#, "pushNotificationConfig", "is required");
    let within = format!(r#"{{"parent":"tasks/t","config":{{{config}}}}}"#);
    refused(Dialect::V0_3Proto, create, &within, &format!("config.{url}"), "http");
    let alone = r#"{"pushNotificationConfig":{"url":"http://h"}}"#;
    refused(Dialect::V0_3Proto, create, alone, "parent", "is required");
}

#[test]
fn all_violations_are_reported_at_once() {
    let found = violations(
        Dialect::V0_3,
        Operation::Send,
        r#"{"message":{"role":"x","parts":[{},{"text":"ok"},{"file":{"bytes":"*"}}],"contextId":7},
           "configuration":{"historyLength":-1,"blocking":"maybe"},"metadata":"m"}"#,
    );
    let fields: Vec<&str> = found.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "message.messageId",
            "message.contextId",
            "message.role",
            "message.parts[0]",
            "message.parts[2].file.bytes",
            "configuration.historyLength",
            "configuration.blocking",
            "metadata",
        ]
    );
    for (dialect, _) in LEGACY {
        let many =
            violations(dialect, Operation::Send, &part(dialect, &vec!["{}"; 10_000].join(",")));
        assert_eq!(many.len(), MAX_VIOLATIONS + 1);
    }
}
