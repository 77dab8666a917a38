//! Input that is accepted although the writers would not produce it.

use longhaul_domain::{Content, Json, Part, Role, TaskState};
use longhaul_wire::{ListRequest, SendRequest, TaskRef, v1};
use serde_json::value::RawValue;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn send(text: &str) -> SendRequest {
    v1::read_send(&raw(text)).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

fn list(text: &str) -> ListRequest {
    v1::read_list(&raw(text)).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

/// Reads a message with only this part.
fn part(text: &str) -> Part {
    let mut request =
        send(&format!(r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{text}]}}}}"#));
    request.message.parts.remove(0)
}

fn with_message(member: &str) -> SendRequest {
    send(&format!(
        r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"t"}}],{member}}}}}"#
    ))
}

#[test]
fn names_may_be_camel_case_or_snake_case() {
    let camel = send(
        r#"{"message":{"messageId":"m","contextId":"c","role":"ROLE_USER","parts":[{"text":"t",
           "mediaType":"text/plain"}],"referenceTaskIds":["r"]},"configuration":{"historyLength":1,
           "acceptedOutputModes":["a/b"],"returnImmediately":true,
           "taskPushNotificationConfig":{"url":"http://h"}}}"#,
    );
    let snake = send(
        r#"{"message":{"message_id":"m","context_id":"c","role":"ROLE_USER","parts":[{"text":"t",
           "media_type":"text/plain"}],"reference_task_ids":["r"]},"configuration":{"history_length":1,
           "accepted_output_modes":["a/b"],"return_immediately":true,
           "task_push_notification_config":{"url":"http://h"}}}"#,
    );
    assert_eq!(camel, snake);
}

#[test]
fn unknown_members_are_ignored_at_every_level() {
    let plain = send(r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"t"}]}}"#);
    let more = send(
        r#"{"x":{"y":[1]},"message":{"kind":"message","messageId":"m","role":"ROLE_USER","parts":
           [{"kind":"text","text":"t","z":null}]},"configuration":{"blocking":true}}"#,
    );
    assert_eq!(plain, more);
}

#[test]
fn null_and_empty_mean_absent() {
    let plain = send(r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"t"}]}}"#);
    for text in [
        r#"{"tenant":null,"metadata":null,"configuration":null,"message":{"messageId":"m",
           "contextId":null,"taskId":null,"role":"ROLE_USER","metadata":null,"extensions":null,
           "referenceTaskIds":null,"parts":[{"text":"t","raw":null,"url":null,"data":null,
           "metadata":null,"filename":null,"mediaType":null}]}}"#,
        r#"{"tenant":"","configuration":{"historyLength":null,"returnImmediately":null,
           "acceptedOutputModes":[]},"message":{"messageId":"m","contextId":"","taskId":"",
           "role":"ROLE_USER","extensions":[],"parts":[{"text":"t","filename":"","mediaType":""}]}}"#,
    ] {
        assert_eq!(send(text), plain);
    }
}

#[test]
fn a_state_may_be_spelled_in_many_ways() {
    for (spelling, state) in [
        (r#""TASK_STATE_COMPLETED""#, Some(TaskState::Completed)),
        (r#""completed""#, Some(TaskState::Completed)),
        (r#""COMPLETED""#, Some(TaskState::Completed)),
        ("3", Some(TaskState::Completed)),
        ("3.0", Some(TaskState::Completed)),
        (r#""3""#, Some(TaskState::Completed)),
        (r#""input-required""#, Some(TaskState::InputRequired)),
        (r#""input_required""#, Some(TaskState::InputRequired)),
        (r#""TASK_STATE_INPUT_REQUIRED""#, Some(TaskState::InputRequired)),
        (r#""auth-required""#, Some(TaskState::AuthRequired)),
        (r#""canceled""#, Some(TaskState::Canceled)),
        // The spelling of 0.3.
        (r#""TASK_STATE_CANCELLED""#, Some(TaskState::Canceled)),
        (r#""TASK_STATE_UNSPECIFIED""#, None),
        (r#""""#, None),
        ("0", None),
        ("null", None),
    ] {
        assert_eq!(list(&format!(r#"{{"status":{spelling}}}"#)).status, state, "{spelling}");
    }
}

#[test]
fn a_role_may_be_spelled_in_many_ways() {
    for spelling in [r#""ROLE_USER""#, r#""user""#, r#""USER""#, "1", r#""1""#, "1.0"] {
        let text = format!(
            r#"{{"message":{{"messageId":"m","role":{spelling},"parts":[{{"text":""}}]}}}}"#
        );
        assert_eq!(send(&text).message.role, Role::User, "{spelling}");
    }
}

#[test]
fn an_integer_may_be_a_number_an_integral_float_or_a_string() {
    for spelling in ["20", "20.0", "2e1", "2.0E+1", r#""20""#, r#""20.0""#] {
        let request = list(&format!(r#"{{"pageSize":{spelling},"historyLength":{spelling}}}"#));
        assert_eq!((request.page_size, request.history_length), (Some(20), Some(20)));
    }
    assert_eq!(list("{}").page_size_or_default(), 50);
}

#[test]
fn a_boolean_may_be_a_string() {
    assert!(list(r#"{"includeArtifacts":"true"}"#).include_artifacts);
    assert!(!list(r#"{"includeArtifacts":"false"}"#).include_artifacts);
}

#[test]
fn base64_may_be_of_either_alphabet_padded_or_not() {
    for spelling in ["+/8=", "+/8", "-_8=", "-_8", r"\u002b/8=", r"+/8=\n", "+/\\r\\n8="] {
        let part = part(&format!(r#"{{"raw":"{spelling}"}}"#));
        assert_eq!(part.content, Content::Raw(vec![0xfb, 0xff].into()), "{spelling}");
    }
    assert_eq!(part(r#"{"raw":""}"#).content, Content::Raw(Vec::new().into()));
}

#[test]
fn a_time_may_have_any_offset_and_any_fraction() {
    for (spelling, utc) in [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.5z", "2026-01-02T03:04:05.500Z"),
        ("2026-01-02t03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"),
        // Digits beyond nanoseconds are dropped.
        ("2026-01-02T03:04:05.123456789012Z", "2026-01-02T03:04:05.123456789Z"),
        ("2026-01-02T03:04:05+05:30", "2026-01-01T21:34:05Z"),
        ("2026-01-02 03:04:05-01:00", "2026-01-02T04:04:05Z"),
    ] {
        let request = list(&format!(r#"{{"statusTimestampAfter":"{spelling}"}}"#));
        assert_eq!(request.status_timestamp_after, Some(utc.parse().unwrap()), "{spelling}");
    }
}

#[test]
fn data_and_metadata_survive_byte_for_byte() {
    // Values that a JSON tree would change: big integers, floats, escapes.
    let json = r#"{"big":12345678901234567890,"one":1.0,"int":1,"null":null,"e":1e400,"b":[[{}]],"é":"\u00e9"}"#;
    let part = part(&format!(r#"{{"data":{json},"metadata":{json}}}"#));
    assert_eq!(part.content, Content::Data(Json::parse(json).unwrap()));
    assert_eq!(part.metadata.unwrap().as_str(), json);
    assert_eq!(
        with_message(&format!(r#""metadata":{json}"#)).message.metadata.unwrap().as_str(),
        json
    );
}

#[test]
fn every_json_value_is_data_including_null() {
    for json in ["null", "true", "0", "-1.50", r#""s""#, "[]", "{}"] {
        assert_eq!(
            part(&format!(r#"{{"data":{json}}}"#)).content,
            Content::Data(Json::parse(json).unwrap())
        );
    }
}

#[test]
fn an_empty_text_is_a_text() {
    assert_eq!(part(r#"{"text":""}"#), Part::text(""));
}

#[test]
fn a_malformed_task_id_is_kept_for_a_later_not_found() {
    let request = with_message(r#""taskId":"no-such-task""#);
    assert_eq!(request.target, Some(TaskRef::Malformed("no-such-task".to_owned())));
    assert_eq!(request.message.task_id, None);
    let get = v1::read_get(&raw(r#"{"id":"x"}"#)).unwrap();
    assert_eq!(get.id, TaskRef::Malformed("x".to_owned()));
}

#[test]
fn the_last_of_duplicate_names_wins() {
    let request = list(r#"{"pageSize":1,"page_size":2}"#);
    assert_eq!(request.page_size, Some(2));
}

#[test]
fn escaped_names_and_white_space_make_no_difference() {
    let request = list("{ \"page\\u0053ize\" :\n\t7 }");
    assert_eq!(request.page_size, Some(7));
}
