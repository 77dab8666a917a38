//! Input that the older dialects accept beyond their schemas, and what counts as absent.

use super::{LEGACY, text};
use longhaul_domain::{Content, Json, JsonObject, Message, Part, Role, TaskState};
use longhaul_wire::{
    Dialect, Operation, Request, SendRequest, TaskRef, assign_message_id,
    v0::{self, LegacyForm},
};

fn send(dialect: Dialect, params: &str) -> SendRequest {
    match dialect.read(Operation::Send, &text(params)) {
        Ok(Request::Send(request)) => *request,
        other => panic!("{params} was read as {other:?}"),
    }
}

/// Parameters of a send, with parts under the dialect's name.
fn request(dialect: Dialect, message: &str, parts: &str, others: &str) -> String {
    let name = if dialect == Dialect::V0_3Proto { "content" } else { "parts" };
    let id = if dialect == Dialect::V0_1 { r#""id":"order-7","# } else { r#""unknown":[],"# };
    format!(
        r#"{{{id}"message":{{"messageId":"m","role":"user",{message}"{name}":[{parts}]}}{others}}}"#
    )
}

fn part(dialect: Dialect, part: &str) -> Part {
    send(dialect, &request(dialect, "", part, "")).message.parts.remove(0)
}

fn named(part: Part, name: &str, media_type: &str) -> Part {
    Part { filename: Some(name.to_owned()), media_type: Some(media_type.to_owned()), ..part }
}

#[test]
fn a_part_is_identified_by_its_content_in_every_spelling() {
    let bytes = named(Part::raw(vec![251u8, 255], ""), "a", "b/c");
    let url = named(Part::url("http://h"), "a", "b/c");
    for (dialect, _) in LEGACY {
        for (given, expected) in [
            (r#"{"kind":"text","text":"t"}"#, Part::text("t")),
            (r#"{"type":"text","text":"t"}"#, Part::text("t")),
            (r#"{"text":"t","kind":null,"file":null}"#, Part::text("t")),
            (r#"{"text":""}"#, Part::text("")),
            (
                r#"{"kind":"file","file":{"bytes":"+/8=","name":"a","mimeType":"b/c"}}"#,
                bytes.clone(),
            ),
            (r#"{"file":{"bytes":"-_8","filename":"a","mime_type":"b/c"}}"#, bytes.clone()),
            (r#"{"file":{"fileWithBytes":"-_8=","name":"a","mediaType":"b/c"}}"#, bytes.clone()),
            (r#"{"file":{"file_with_bytes":"+/8","name":"a","mimeType":"b/c"}}"#, bytes.clone()),
            (
                r#"{"kind":"file","file":{"uri":"http://h","name":"a","mimeType":"b/c"}}"#,
                url.clone(),
            ),
            (r#"{"file":{"fileWithUri":"http://h","name":"a","mimeType":"b/c"}}"#, url.clone()),
            (r#"{"file":{"file_with_uri":"http://h","name":"a","mime_type":"b/c"}}"#, url.clone()),
            (r#"{"url":"http://h","filename":"a","mediaType":"b/c"}"#, url.clone()),
            (r#"{"kind":"file","raw":"+/8=","filename":"a","mediaType":"b/c"}"#, bytes.clone()),
        ] {
            assert_eq!(part(dialect, given), expected, "{dialect:?} {given}");
        }
    }
}

#[test]
fn data_is_read_verbatim_and_null_is_a_value() {
    for json in [r#"{"n":12345678901234567890,"f":1.0}"#, "[1,1.0]", "null", "3", r#""s""#, "{}"] {
        let expected = Part::data(Json::parse(json).unwrap());
        for dialect in [Dialect::V0_3, Dialect::V0_1] {
            assert_eq!(part(dialect, &format!(r#"{{"kind":"data","data":{json}}}"#)), expected);
            assert_eq!(part(dialect, &format!(r#"{{"data":{json}}}"#)), expected);
        }
        let nested = format!(r#"{{"data":{{"data":{json}}}}}"#);
        assert_eq!(part(Dialect::V0_3Proto, &nested), expected);
        // A tagged part has the JSON shape, even in `ProtoJSON`.
        let tagged = format!(r#"{{"kind":"data","data":{json}}}"#);
        assert_eq!(part(Dialect::V0_3Proto, &tagged), expected);
    }
}

#[test]
fn marked_data_is_unwrapped() {
    for dialect in [Dialect::V0_3, Dialect::V0_1] {
        let given =
            r#"{"kind":"data","data":{"value":[1.0]},"metadata":{"data_part_compat":true,"k":1}}"#;
        let read = part(dialect, given);
        assert_eq!(read.content, Content::Data(Json::parse("[1.0]").unwrap()));
        assert_eq!(read.metadata, Some(JsonObject::parse(r#"{"k":1}"#).unwrap()));
    }
}

#[test]
fn a_message_may_use_the_names_of_another_dialect() {
    for dialect in [Dialect::V0_3, Dialect::V0_3Proto] {
        for message in [
            r#"{"message_id":"m","context_id":"c","role":"ROLE_USER","parts":[{"text":"t"}]}"#,
            r#"{"messageId":"m","contextId":"c","role":"user","content":[{"text":"t"}],"kind":"message"}"#,
            r#"{"messageId":"m","contextId":"c","role":1,"content":[{"text":"t"}],"extensions":null}"#,
        ] {
            let read = send(dialect, &format!(r#"{{"message":{message}}}"#)).message;
            assert_eq!(read.context_id.unwrap().as_str(), "c");
            assert_eq!((read.role, read.parts), (Role::User, vec![Part::text("t")]), "{message}");
        }
    }
    let proto = r#"{"request":{"messageId":"m","role":"ROLE_USER","content":[{"text":"t"}]}}"#;
    assert_eq!(send(Dialect::V0_3Proto, proto).message.text(), "t");
}

#[test]
fn an_absent_blocking_flag_has_its_dialects_meaning() {
    let part = r#"{"text":"t"}"#;
    let waits = |dialect, configuration: &str| {
        !send(dialect, &request(dialect, "", part, configuration)).return_immediately
    };
    for (configuration, json, proto) in [
        ("", true, true),
        (r#","configuration":null"#, true, true),
        (r#","configuration":{}"#, true, false),
        (r#","configuration":{"blocking":null}"#, true, false),
        (r#","configuration":{"blocking":false}"#, false, false),
        (r#","configuration":{"blocking":"true"}"#, true, true),
    ] {
        assert_eq!(waits(Dialect::V0_3, configuration), json, "{configuration}");
        assert_eq!(waits(Dialect::V0_3Proto, configuration), proto, "{configuration}");
        assert!(waits(Dialect::V0_1, configuration));
    }
}

#[test]
fn an_absent_history_length_has_its_dialects_meaning() {
    let asked = |dialect, length: &str| {
        let get = format!(r#"{{"id":"x"{length}}}"#);
        let Ok(Request::Get(read)) = (dialect as Dialect).read(Operation::Get, &text(&get)) else {
            panic!("{get}")
        };
        read.history_length
    };
    for (length, json, proto, first) in [
        ("", None, None, Some(0)),
        (r#","historyLength":null"#, None, None, Some(0)),
        (r#","historyLength":0"#, Some(0), None, Some(0)),
        (r#","history_length":"3""#, Some(3), Some(3), Some(3)),
        (r#","historyLength":2.0"#, Some(2), Some(2), Some(2)),
    ] {
        assert_eq!(asked(Dialect::V0_3, length), json, "{length}");
        assert_eq!(asked(Dialect::V0_3Proto, length), proto, "{length}");
        assert_eq!(asked(Dialect::V0_1, length), first, "{length}");
    }
    let configured = r#","configuration":{"blocking":true,"historyLength":0}"#;
    for (dialect, expected) in [(Dialect::V0_3, Some(0)), (Dialect::V0_3Proto, None)] {
        let read = send(dialect, &request(dialect, "", r#"{"text":"t"}"#, configured));
        assert_eq!(read.history_length, expected);
    }
}

#[test]
fn a_task_is_named_by_its_id_or_its_resource_name() {
    let named = |params: &str| match Dialect::V0_3Proto.read(Operation::Get, &text(params)) {
        Ok(Request::Get(get)) => get.id,
        other => panic!("{other:?}"),
    };
    let task = TaskRef::parse("018f2f6e-7b7a-7000-8000-000000000001");
    for params in [
        r#"{"name":"tasks/018f2f6e-7b7a-7000-8000-000000000001"}"#,
        r#"{"id":"018f2f6e-7b7a-7000-8000-000000000001","name":"tasks/other"}"#,
        r#"{"name":"018f2f6e-7b7a-7000-8000-000000000001"}"#,
    ] {
        assert_eq!(named(params), task, "{params}");
    }
    assert_eq!(named(r#"{"name":"tasks/a/b"}"#), TaskRef::Malformed("a/b".to_owned()));
}

#[test]
fn a_webhook_of_0_3_over_http_comes_in_several_shapes() {
    let inner = r#"{"id":"p","url":"http://h","authentication":{"schemes":["Basic","Bearer"]}}"#;
    for params in [
        format!(
            r#"{{"parent":"tasks/t","configId":"p","config":{{"pushNotificationConfig":{inner}}}}}"#
        ),
        format!(r#"{{"parent":"tasks/t","config_id":"p","config":{inner}}}"#),
        format!(
            r#"{{"taskId":"t","parent":"tasks/u","config":{{"name":"x","push_notification_config":{inner}}}}}"#
        ),
        format!(
            r#"{{"name":"tasks/t/pushNotificationConfigs/p","pushNotificationConfig":{inner}}}"#
        ),
        format!(
            r#"{{"config":{{"name":"tasks/t/pushNotificationConfigs/None","pushNotificationConfig":{inner}}}}}"#
        ),
    ] {
        let read = Dialect::V0_3Proto.read(Operation::CreatePush, &text(&params));
        let Ok(Request::CreatePush(read)) = read else { panic!("{params} was {read:?}") };
        assert_eq!(read.task, TaskRef::Malformed("t".to_owned()), "{params}");
        assert_eq!(read.config.id.as_deref(), Some("p"), "{params}");
        assert_eq!(read.config.authentication.unwrap().scheme, "Basic");
    }
    for params in [r#"{"name":"tasks/t/pushNotificationConfigs/p"}"#, r#"{"taskId":"t","id":"p"}"#]
    {
        let read = Dialect::V0_3Proto.read(Operation::DeletePush, &text(params));
        let Ok(Request::DeletePush(read)) = read else { panic!("{params} was {read:?}") };
        assert_eq!((read.task.to_string().as_str(), read.id.as_str()), ("t", "p"));
    }
}

#[test]
fn the_only_webhook_needs_no_name() {
    for (dialect, _) in [LEGACY[0], LEGACY[2]] {
        let read = dialect.read(Operation::GetPush, &text(r#"{"id":"t"}"#));
        let Ok(Request::GetPush(read)) = read else { panic!("{read:?}") };
        assert_eq!(read.id, "");
    }
}

#[test]
fn schemes_may_be_missing() {
    let params = |authentication: &str| {
        format!(
            r#"{{"taskId":"t","pushNotificationConfig":{{"url":"http://h","authentication":{authentication}}}}}"#
        )
    };
    let read = |authentication| {
        let read = Dialect::V0_3.read(Operation::CreatePush, &text(&params(authentication)));
        let Ok(Request::CreatePush(read)) = read else { panic!("{read:?}") };
        read.config.authentication.map(|how| how.scheme)
    };
    assert_eq!(read(r#"{"schemes":[]}"#), None);
    assert_eq!(read(r#"{"schemes":[],"credentials":"c"}"#).as_deref(), Some("Bearer"));
    assert_eq!(read(r#"{"scheme":"Basic"}"#).as_deref(), Some("Basic"));
}

#[test]
fn states_are_read_in_every_spelling() {
    for (_, form) in LEGACY {
        for (state, spellings) in [
            (
                TaskState::Canceled,
                ["canceled", "TASK_STATE_CANCELLED", "TASK_STATE_CANCELED", "cancelled"],
            ),
            (
                TaskState::InputRequired,
                ["input-required", "TASK_STATE_INPUT_REQUIRED", "input_required", "6"],
            ),
        ] {
            for spelling in spellings {
                let task = format!(
                    r#"{{"id":"t","contextId":"c","kind":"task","status":{{"state":"{spelling}"}}}}"#
                );
                let read = v0::received_task(form, &text(&task)).unwrap();
                assert_eq!(read.status.state, state, "{spelling}");
            }
        }
    }
}

#[test]
fn responses_are_identified_without_a_kind() {
    let task = r#"{"id":"t","contextId":"c","status":{"state":"working"}}"#;
    let message = r#"{"messageId":"m","role":"agent","parts":[{"text":"t"}]}"#;
    let sent = |text_: &str| v0::received_send(LegacyForm::V0_3, &text(text_)).unwrap();
    assert!(matches!(sent(task), longhaul_wire::ReceivedSend::Task(_)));
    assert!(matches!(sent(message), longhaul_wire::ReceivedSend::Message(_)));
    let status = r#"{"id":"order-7","status":{"state":"working"},"final":false}"#;
    let event = v0::received_event(LegacyForm::V0_1, &text(status)).unwrap();
    assert!(matches!(event, longhaul_wire::ReceivedEvent::Status(_)));
    let msg = format!(r#"{{"msg":{}}}"#, message.replace("parts", "content"));
    let event = v0::received_event(LegacyForm::V0_3Proto, &text(&msg)).unwrap();
    assert!(matches!(event, longhaul_wire::ReceivedEvent::Message(_)));
}

fn first(message: &str, others: &str) -> SendRequest {
    send(Dialect::V0_1, &format!(r#"{{"id":"order-7","message":{message}{others}}}"#))
}

#[test]
fn a_send_of_0_1_names_the_task_beside_the_message() {
    let read = first(
        r#"{"role":"user","parts":[{"type":"text","text":"t"}]}"#,
        r#","sessionId":"s","historyLength":2,"metadata":{"k":1.0}"#,
    );
    assert_eq!(read.target, Some(TaskRef::Chosen("order-7".to_owned())));
    assert_eq!(read.message.context_id.unwrap().as_str(), "s");
    assert_eq!(read.history_length, Some(2));
    assert_eq!(read.metadata.unwrap().as_str(), r#"{"k":1.0}"#);
    assert!(!read.return_immediately);
}

#[test]
fn a_repeated_message_of_0_1_is_a_duplicate_until_the_task_asks_again() {
    let said = |text: &str| {
        let message = format!(r#"{{"role":"user","parts":[{{"type":"text","text":"{text}"}}]}}"#);
        first(&message, "").message
    };
    let id = |message: &Message| message.message_id.clone();
    assert_eq!(id(&said("yes")), id(&said("yes")));
    assert_ne!(id(&said("yes")), id(&said("no")));
    // The task has asked again, so the same words are a new message.
    let mut answer = said("yes");
    assign_message_id(&mut answer, "order-7", longhaul_domain::Seq(9));
    let mut retry = said("yes");
    assign_message_id(&mut retry, "order-7", longhaul_domain::Seq(9));
    assert_eq!(id(&answer), id(&retry));
    assert_ne!(id(&answer), id(&said("yes")));
    let own = first(r#"{"messageId":"m","role":"user","parts":[{"text":"t"}]}"#, "");
    assert_eq!(id(&own.message).as_str(), "m");
}
