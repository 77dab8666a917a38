//! gRPC responses equal their JSON form.

use crate::{peer, samples, strategies as any_of};
use longhaul_domain::{
    BlobHash, BlobKind, BlobRef, Content, Message, MessageId, Part, Role, Seq, Task, TaskState,
    bounds::MAX_DATA_DEPTH,
};
use longhaul_proto::{
    v0::{self, EncodeFiles},
    v1,
};
use longhaul_wire::{
    Dialect, DialectView, ResultPayload, SendOutcome, StreamEvent, TaskPage, WireError,
    v0::FileEncoding, v1::PushList,
};
use proptest::prelude::*;

fn new(output: ResultPayload<'_>) -> DialectView<'_> {
    Dialect::V1_0.view(output)
}

fn old(output: ResultPayload<'_>) -> DialectView<'_> {
    Dialect::V0_3Proto.view(output)
}

/// View for clients of 0.3 that expect files as base64 text.
fn twice(output: ResultPayload<'_>) -> DialectView<'_> {
    old(output).with_file_encoding(FileEncoding::Twice)
}

fn is_one_event(event: &StreamEvent, seq: Seq) -> Result<(), TestCaseError> {
    for (cursor, output) in [
        (None, ResultPayload::Event(event)),
        (Some(seq), ResultPayload::EventWithCursor(event, seq)),
    ] {
        let ours = v1::event(event, cursor).unwrap();
        let name = "lf.a2a.v1.StreamResponse";
        prop_assert_eq!(peer::from_ours(name, &ours), peer::from_json(name, &new(output)));
        let ours = v0::event(event, cursor).unwrap();
        let name = "a2a.v1.StreamResponse";
        prop_assert_eq!(peer::from_ours(name, &ours), peer::from_json(name, &old(output)));
        let ours = ours.encode_files(FileEncoding::Twice);
        prop_assert_eq!(peer::from_ours(name, &ours), peer::from_json(name, &twice(output)));
    }
    Ok(())
}

fn is_one_task(task: &Task) -> Result<(), TestCaseError> {
    let outcome = SendOutcome::Task(Box::new(task.clone()));
    let name = "lf.a2a.v1.Task";
    let ours = peer::from_ours(name, &v1::task(task).unwrap());
    prop_assert_eq!(ours, peer::from_json(name, &new(ResultPayload::Task(task))));
    let name = "lf.a2a.v1.SendMessageResponse";
    let ours = peer::from_ours(name, &v1::send(&outcome).unwrap());
    prop_assert_eq!(ours, peer::from_json(name, &new(ResultPayload::Send(&outcome))));
    let name = "a2a.v1.Task";
    let ours = peer::from_ours(name, &v0::task(task).unwrap());
    prop_assert_eq!(ours, peer::from_json(name, &old(ResultPayload::Task(task))));
    let ours = peer::from_ours(name, &v0::task(task).unwrap().encode_files(FileEncoding::Twice));
    prop_assert_eq!(ours, peer::from_json(name, &twice(ResultPayload::Task(task))));
    let name = "a2a.v1.SendMessageResponse";
    let ours = peer::from_ours(name, &v0::send(&outcome).unwrap());
    prop_assert_eq!(ours, peer::from_json(name, &old(ResultPayload::Send(&outcome))));
    let ours =
        peer::from_ours(name, &v0::send(&outcome).unwrap().encode_files(FileEncoding::Twice));
    prop_assert_eq!(ours, peer::from_json(name, &twice(ResultPayload::Send(&outcome))));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn tasks_equal_their_json_form(task in any_of::task(), seq in 0..1i64 << 53) {
        is_one_task(&task)?;
        is_one_event(&StreamEvent::Task(Box::new(task)), Seq(seq))?;
    }

    #[test]
    fn replies_equal_their_json_form(message in any_of::message(), seq in 0..1i64 << 53) {
        let outcome = SendOutcome::Message(message.clone());
        let name = "lf.a2a.v1.SendMessageResponse";
        let ours = peer::from_ours(name, &v1::send(&outcome).unwrap());
        prop_assert_eq!(ours, peer::from_json(name, &new(ResultPayload::Send(&outcome))));
        is_one_event(&StreamEvent::Message(message), Seq(seq))?;
    }

    #[test]
    fn events_equal_their_json_form(
        status in any_of::status_event(),
        artifact in any_of::artifact_event(),
        seq in 0..1i64 << 53,
    ) {
        is_one_event(&StreamEvent::Status(status), Seq(seq))?;
        is_one_event(&StreamEvent::Artifact(artifact), Seq(seq))?;
    }

    #[test]
    fn pages_equal_their_json_form(task in any_of::task(), token in any_of::text(), include_artifacts: bool) {
        let page = TaskPage {
            tasks: vec![task],
            next_page_token: token,
            page_size: 3,
            total_size: 12,
            include_artifacts,
        };
        let name = "lf.a2a.v1.ListTasksResponse";
        let ours = peer::from_ours(name, &v1::page(&page).unwrap());
        prop_assert_eq!(ours, peer::from_json(name, &new(ResultPayload::Page(&page))));
    }
}

#[test]
fn the_deepest_data_is_readable_anywhere_and_deeper_data_breaks_no_page() {
    for depth in [MAX_DATA_DEPTH, 60] {
        let text = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let object = samples::object(&text);
        let part = Part { metadata: Some(object.clone()), ..Part::data(object.as_json().clone()) };
        let mut task = samples::task();
        for item in &mut task.history {
            item.message.parts = vec![part.clone()];
            item.message.metadata = Some(object.clone());
        }
        let said = Message::new(MessageId::new("m").unwrap(), Role::Agent, vec![part.clone()]);
        task.status.message = Some(Message { metadata: Some(object.clone()), ..said });
        for artifact in &mut task.artifacts {
            artifact.parts = vec![part.clone()];
            artifact.metadata = Some(object.clone());
        }
        let page = TaskPage {
            tasks: vec![task.clone()],
            next_page_token: String::new(),
            page_size: 1,
            total_size: 1,
            include_artifacts: true,
        };
        // Readers stop at a hundred nested messages, and so does the second implementation.
        peer::from_ours("lf.a2a.v1.ListTasksResponse", &v1::page(&page).unwrap());
        let outcome = SendOutcome::Task(Box::new(task.clone()));
        peer::from_ours("lf.a2a.v1.SendMessageResponse", &v1::send(&outcome).unwrap());
        peer::from_ours("a2a.v1.SendMessageResponse", &v0::send(&outcome).unwrap());
        let event = StreamEvent::Task(Box::new(task));
        peer::from_ours("lf.a2a.v1.StreamResponse", &v1::event(&event, None).unwrap());
        peer::from_ours("a2a.v1.StreamResponse", &v0::event(&event, None).unwrap());
    }
}

#[test]
fn webhooks_equal_their_json_form() {
    let list = PushList { configs: vec![samples::push_config()], next_page_token: "n".to_owned() };
    let name = "lf.a2a.v1.ListTaskPushNotificationConfigsResponse";
    let ours = peer::from_ours(name, &v1::push_list(&list));
    assert_eq!(ours, peer::from_json(name, &new(ResultPayload::PushList(&list))));
    let name = "a2a.v1.ListTaskPushNotificationConfigResponse";
    let ours = peer::from_ours(name, &v0::push_list(&list));
    assert_eq!(ours, peer::from_json(name, &old(ResultPayload::PushList(&list))));
}

#[test]
fn the_last_status_of_a_0_3_stream_is_final() {
    let StreamEvent::Status(status) = samples::status_event() else { panic!("a status") };
    let last = |state| {
        let mut status = status.clone();
        status.change.state = state;
        let frame = v0::event(&StreamEvent::Status(status), None).unwrap();
        match frame.payload {
            Some(longhaul_proto::pb::v0::stream_response::Payload::StatusUpdate(e)) => e.r#final,
            other => panic!("{other:?}"),
        }
    };
    assert!(last(TaskState::Canceled) && last(TaskState::InputRequired));
    assert!(!last(TaskState::AuthRequired) && !last(TaskState::Working));
}

#[test]
fn a_content_that_is_stored_apart_cannot_be_written() {
    let blob = BlobRef { hash: BlobHash::digest(b"x"), size: 1, kind: BlobKind::Text };
    let part = Part::new(Content::Blob(blob));
    let outcome =
        SendOutcome::Message(Message::new(MessageId::new("m").unwrap(), Role::Agent, vec![part]));
    assert!(matches!(v1::send(&outcome), Err(WireError::Unresolved(_))));
    assert!(matches!(v0::send(&outcome), Err(WireError::Unresolved(_))));
}

const CARD: &str = include_str!("../../../wire/tests/golden/card_full.json");

#[test]
fn a_card_of_1_0_equals_its_json_form() {
    let raw = serde_json::from_str::<&serde_json::value::RawValue>(CARD).unwrap();
    let card = longhaul_wire::v1::card::received_card(raw).unwrap();
    let name = "lf.a2a.v1.AgentCard";
    assert_eq!(peer::from_ours(name, &v1::card(&card)), peer::from_json_text(name, CARD));
}

#[test]
fn a_card_of_0_3_prefers_a_0_3_interface() {
    let raw = serde_json::from_str::<&serde_json::value::RawValue>(CARD).unwrap();
    let mut card = longhaul_wire::v1::card::received_card(raw).unwrap();
    let first = card.supported_interfaces[0].clone();
    let mut spoken = first.clone();
    spoken.protocol_version = "0.3".to_owned();
    spoken.url = "https://old.example".to_owned();
    card.supported_interfaces = vec![first, spoken];
    let old = v0::card(&card);
    assert_eq!(old.url, "https://old.example");
    assert_eq!((old.protocol_version.as_str(), old.additional_interfaces.len()), ("0.3.0", 1));
    assert_eq!(old.security_schemes.len(), card.security_schemes.len());
    assert_eq!(old.skills.len(), card.skills.len());
    // Readers of 0.3 understand every member.
    peer::from_ours("a2a.v1.AgentCard", &old);
}
