//! Golden files of 1.0: output byte for byte, and its round trip. Set `GOLDEN_WRITE=1` to rewrite
//! the files, and review the difference.

use crate::{card, samples};
use longhaul_domain::{FailureKind, Role, Seq, TaskFailure};
use longhaul_wire::{
    Dialect, ProtocolError, ReceivedEvent, ReceivedSend, ReceivedTask, ResultPayload, SendOutcome,
    StreamEvent, WireError,
    jsonrpc::{RpcId, read_call, write_call, write_error, write_result},
    raw::Violation,
    v1::{self, V1},
    write::to_vec,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{fs, path::Path};

fn golden(name: &str, value: &impl Serialize) -> Box<RawValue> {
    bytes(name, to_vec(value))
}

fn bytes(name: &str, written: Result<Vec<u8>, WireError>) -> Box<RawValue> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = String::from_utf8(written.unwrap()).unwrap();
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        fs::write(&path, format!("{text}\n")).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected.trim_end_matches('\n'), "{name}");
    RawValue::from_string(text).unwrap()
}

#[test]
fn a_task_survives_a_round_trip() {
    let task = samples::task();
    let raw = golden("task.json", &V1(&task));
    assert_eq!(v1::received_task(&raw).unwrap(), ReceivedTask::from(&task));
    let bare = samples::bare_task();
    let raw = golden("task_bare.json", &V1(&bare));
    assert_eq!(v1::received_task(&raw).unwrap(), ReceivedTask::from(&bare));
}

#[test]
fn failure_details_for_operators_are_not_written() {
    let plain = samples::status_event();
    let mut failed = plain.clone();
    let StreamEvent::Status(event) = &mut failed else { panic!("not a status") };
    event.change.failed = Some(TaskFailure::new(FailureKind::Fatal, "a cause", 1));
    assert_eq!(to_vec(&V1(&failed)).unwrap(), to_vec(&V1(&plain)).unwrap());
}

#[test]
fn the_result_of_a_send_names_its_kind() {
    let task = SendOutcome::Task(Box::new(samples::bare_task()));
    let raw = golden("send_response_task.json", &V1(&task));
    assert!(matches!(v1::received_send(&raw), Ok(ReceivedSend::Task(_))));
    let reply = samples::message("r1", Role::Agent);
    let raw = golden("send_response_message.json", &V1(&SendOutcome::Message(reply.clone())));
    assert_eq!(v1::received_send(&raw), Ok(ReceivedSend::Message(reply)));
}

#[test]
fn every_kind_of_event_is_written_and_reads_back() {
    let task = StreamEvent::Task(Box::new(samples::bare_task()));
    let raw = golden("event_task.json", &V1(&task));
    assert!(matches!(v1::received_event(&raw), Ok(ReceivedEvent::Task(_))));
    let reply = StreamEvent::Message(samples::message("r1", Role::Agent));
    let raw = golden("event_message.json", &V1(&reply));
    assert!(matches!(v1::received_event(&raw), Ok(ReceivedEvent::Message(_))));
    let raw = golden("event_status.json", &V1(&samples::status_event()));
    assert!(matches!(v1::received_event(&raw), Ok(ReceivedEvent::Status(_))));
    let raw = golden("event_artifact.json", &V1(&samples::artifact_event()));
    assert!(matches!(v1::received_event(&raw), Ok(ReceivedEvent::Artifact(_))));
}

#[test]
fn the_cursor_stands_in_the_metadata_of_every_kind_of_event() {
    for (name, event) in [
        ("cursor_task.json", StreamEvent::Task(Box::new(samples::bare_task()))),
        ("cursor_message.json", StreamEvent::Message(samples::message("r1", Role::Agent))),
        ("cursor_status.json", samples::status_event()),
        ("cursor_artifact.json", samples::artifact_event()),
    ] {
        let raw =
            golden(name, &Dialect::V1_0.view(ResultPayload::EventWithCursor(&event, Seq(17))));
        let metadata = match v1::received_event(&raw).unwrap() {
            ReceivedEvent::Task(task) => task.metadata,
            ReceivedEvent::Message(message) => message.metadata,
            ReceivedEvent::Status(status) => status.metadata,
            ReceivedEvent::Artifact(artifact) => artifact.update.metadata,
        };
        let cursor = metadata.as_ref().and_then(longhaul_wire::metadata::read_cursor);
        assert_eq!(cursor, Some(Seq(17)), "{name}");
    }
}

#[test]
fn a_list_includes_artifacts_on_request_only_and_then_always() {
    let raw = golden("list.json", &V1(&samples::page(false)));
    assert!(!raw.get().contains("artifacts"));
    assert_eq!(v1::received_page(&raw).unwrap().tasks.len(), 2);
    let raw = golden("list_with_artifacts.json", &V1(&samples::page(true)));
    assert!(raw.get().contains(r#""artifacts":[]"#));
}

#[test]
fn every_request_is_written_and_reads_back() {
    let raw = golden("send_request.json", &V1(&samples::send_request()));
    assert_eq!(v1::read_send(&raw).unwrap(), samples::send_request());
    let raw = golden("get_request.json", &V1(&samples::get_request()));
    assert_eq!(v1::read_get(&raw).unwrap(), samples::get_request());
    let raw = golden("list_request.json", &V1(&samples::list_request()));
    assert_eq!(v1::read_list(&raw).unwrap(), samples::list_request());
    let raw = golden("cancel_request.json", &V1(&samples::cancel_request()));
    assert_eq!(v1::read_cancel(&raw).unwrap(), samples::cancel_request());
    let raw = golden("subscribe_request.json", &V1(&samples::subscribe_request()));
    assert_eq!(v1::read_subscribe(&raw).unwrap(), samples::subscribe_request());
    let raw = golden("push_config.json", &V1(&samples::push_config()));
    assert_eq!(v1::read_push_config(&raw).unwrap().config, samples::push_config());
    assert_eq!(v1::received_push_config(&raw).unwrap(), samples::push_config());
    let raw = golden("push_ref.json", &V1(&samples::push_ref()));
    assert_eq!(v1::read_push_ref(&raw).unwrap(), samples::push_ref());
    let raw = golden("push_list_request.json", &V1(&samples::push_list_request()));
    assert_eq!(v1::read_push_list(&raw).unwrap(), samples::push_list_request());
    let raw = golden("extended_card_request.json", &V1(&samples::extended_card_request()));
    assert_eq!(v1::read_extended_card(&raw).unwrap(), samples::extended_card_request());
}

#[test]
fn cards_are_written_and_read_back() {
    golden("card.json", &card::built());
    golden("card_full.json", &card::full());
}

#[test]
fn envelopes_are_one_line() {
    let id = RpcId::number(7);
    let task = samples::bare_task();
    let call = bytes("call.json", write_call(&id, "GetTask", &V1(&samples::get_request())));
    assert_eq!(read_call(call.get().as_bytes()).unwrap().method, "GetTask");
    let result = bytes("answer_result.json", write_result(&id, &V1(&task)));
    let missing = ProtocolError::TaskNotFound { task: "nope".to_owned() };
    let a2a = bytes("answer_a2a_error.json", write_error(Dialect::V1_0, &id, &missing));
    let wrong = ProtocolError::InvalidParams(vec![
        Violation::new("message.parts", "is required; send at least one part"),
        Violation::new("message.role", "is required"),
    ]);
    let params = bytes("answer_invalid_params.json", write_error(Dialect::V1_0, &id, &wrong));
    let busy = ProtocolError::ResourceExhausted {
        why: "Too many tasks wait".to_owned(),
        retry_after: std::time::Duration::from_millis(1500),
    };
    let retry = bytes("answer_retry.json", write_error(Dialect::V1_0, &RpcId::null(), &busy));
    let http = bytes("http_error.json", missing.to_http_body());
    // An SSE `data:` field must not contain line breaks.
    for line in [call, result, a2a, params, retry, http] {
        assert!(!line.get().contains('\n'));
    }
}
