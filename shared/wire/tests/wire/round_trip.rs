//! Values survive a round trip, and no input makes a reader panic.

use crate::{samples, strategies as any_of};
use longhaul_domain::{
    ArtifactUpdate, BlobHash, BlobKind, BlobRef, Content, EntryBody, LogEntry, Message, MessageId,
    Note, Part, Role, Seq, TaskState,
    log::{StatusChange, UserMessage},
};
use longhaul_wire::{
    Dialect, Operation, ReceivedEvent, ReceivedSend, ReceivedStatus, ReceivedStatusUpdate,
    ReceivedTask, SendOutcome, StreamEvent, TaskPage, WireError,
    jsonrpc::{read_call, read_response},
    metadata, trim_history,
    v1::{self, V1},
    write::to_vec,
};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;

fn raw(value: &impl Serialize) -> Box<RawValue> {
    RawValue::from_string(String::from_utf8(to_vec(value).unwrap()).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn tasks_survive(task in any_of::task()) {
        prop_assert_eq!(v1::received_task(&raw(&V1(&task))).unwrap(), ReceivedTask::from(&task));
        let outcome = SendOutcome::Task(Box::new(task.clone()));
        let expected = ReceivedSend::Task(Box::new(ReceivedTask::from(&task)));
        prop_assert_eq!(v1::received_send(&raw(&V1(&outcome))).unwrap(), expected);
        let event = StreamEvent::Task(Box::new(task.clone()));
        let expected = ReceivedEvent::Task(Box::new(ReceivedTask::from(&task)));
        prop_assert_eq!(v1::received_event(&raw(&V1(&event))).unwrap(), expected);
    }

    #[test]
    fn pages_survive(task in any_of::task(), token in any_of::text(), asked: bool) {
        let page = TaskPage {
            tasks: vec![task.clone()],
            next_page_token: token.clone(),
            page_size: 3,
            total_size: 12,
            include_artifacts: asked,
        };
        let read = v1::received_page(&raw(&V1(&page))).unwrap();
        let mut shown = ReceivedTask::from(&task);
        if !asked {
            shown.artifacts.clear();
        }
        prop_assert_eq!((read.page_size, read.total_size), (3, 12));
        prop_assert_eq!((read.tasks, read.next_page_token), (vec![shown], token));
    }

    #[test]
    fn messages_survive(message in any_of::message()) {
        let event = StreamEvent::Message(message.clone());
        let read = v1::received_event(&raw(&V1(&event))).unwrap();
        prop_assert_eq!(read, ReceivedEvent::Message(message));
    }

    #[test]
    fn status_events_survive(event in any_of::status_event()) {
        let read = v1::received_event(&raw(&V1(&StreamEvent::Status(event.clone())))).unwrap();
        // The message in a status takes the ids of its task.
        let message = event.change.message.map(|mut message| {
            message.task_id.get_or_insert(event.task);
            message.context_id.get_or_insert_with(|| event.context.clone());
            message
        });
        let expected = ReceivedStatusUpdate {
            task: event.task.into(),
            context: Some(event.context),
            status: ReceivedStatus { state: event.change.state, message, at: Some(event.at) },
            metadata: event.change.metadata,
        };
        prop_assert_eq!(read, ReceivedEvent::Status(expected));
    }

    #[test]
    fn artifact_events_survive(event in any_of::artifact_event()) {
        let read = v1::received_event(&raw(&V1(&StreamEvent::Artifact(event.clone())))).unwrap();
        let ReceivedEvent::Artifact(read) = read else { panic!("{read:?}") };
        prop_assert_eq!(read.task, event.task.into());
        prop_assert_eq!((read.context, read.update), (Some(event.context), event.update));
    }

    #[test]
    fn requests_survive(
        send in any_of::send_request(),
        get in any_of::get_request(),
        list in any_of::list_request(),
        cancel in any_of::cancel_request(),
        push in any_of::push_config(),
    ) {
        prop_assert_eq!(v1::read_send(&raw(&V1(&send))).unwrap(), send);
        prop_assert_eq!(v1::read_get(&raw(&V1(&get))).unwrap(), get);
        prop_assert_eq!(v1::read_list(&raw(&V1(&list))).unwrap(), list);
        prop_assert_eq!(v1::read_cancel(&raw(&V1(&cancel))).unwrap(), cancel);
        prop_assert_eq!(v1::received_push_config(&raw(&V1(&push))).unwrap(), push);
    }

    #[test]
    fn a_cursor_keeps_every_other_byte(metadata in any_of::object(), seq in 0..i64::MAX) {
        let merged = metadata::with_cursor(Some(&metadata), Seq(seq));
        prop_assert_eq!(metadata::read_cursor(&merged), Some(Seq(seq)));
        let others = &metadata.as_str()[..metadata.as_str().len() - 1];
        prop_assert!(merged.as_str().starts_with(others));
    }

    #[test]
    fn byte_soup_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_call(&bytes);
        let _ = read_response(&bytes);
    }

    #[test]
    fn nearly_valid_requests_never_panic(
        text in r#"[\{\}\[\]:,"a-z0-9\\u .-]{0,80}"#,
        cut in 0usize..400,
        at in 0usize..400,
    ) {
        let whole = raw(&V1(&samples::send_request())).get().to_owned();
        let (cut, at) = (whole.floor_char_boundary(cut), whole.floor_char_boundary(at));
        let mixed = format!("{}{text}{}", &whole[..cut.min(at)], &whole[cut.max(at)..]);
        for text in [text.clone(), mixed] {
            let _ = read_response(text.as_bytes());
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{text}}}"#);
            if let Ok(call) = read_call(body.as_bytes()) {
                for operation in Operation::ALL {
                    let _ = Dialect::V1_0.read(operation, call.params());
                }
                let _ = v1::received_event(call.params());
                let _ = v1::received_page(call.params());
                let _ = v1::card::received_card(call.params());
            }
        }
    }
}

#[test]
fn a_content_that_is_stored_apart_cannot_be_written() {
    let blob = BlobRef { hash: BlobHash::digest(b"x"), size: 1, kind: BlobKind::Text };
    let part = Part::new(Content::Blob(blob));
    let message = Message::new(MessageId::new("m").unwrap(), Role::Agent, vec![part]);
    let written = to_vec(&V1(&SendOutcome::Message(message)));
    assert!(matches!(written, Err(WireError::Unresolved(_))), "{written:?}");
}

#[test]
fn clients_see_only_status_and_artifact_entries() {
    let said = UserMessage::new(samples::message("m", Role::User));
    let see = |body| {
        let entry = LogEntry { seq: Seq(3), at: samples::time(), attempt: 1, body };
        StreamEvent::from_entry(samples::key(), &samples::context(), &entry)
    };
    assert_eq!(see(EntryBody::Message(said)), None);
    assert_eq!(see(EntryBody::Note(Note::CancelRequested)), None);
    let working = StatusChange::to(TaskState::Working);
    assert!(matches!(see(EntryBody::Status(working)), Some(StreamEvent::Status(_))));
    let whole = ArtifactUpdate::complete(samples::artifact());
    assert!(matches!(see(EntryBody::Artifact(whole)), Some(StreamEvent::Artifact(_))));
}

#[test]
fn history_keeps_the_most_recent_messages() {
    let ids = |length| {
        let mut task = samples::task();
        trim_history(&mut task, length);
        task.history.iter().map(|i| i.message.message_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(None), ["m1", "m2"]);
    assert_eq!(ids(Some(9)), ["m1", "m2"]);
    assert_eq!(ids(Some(1)), ["m2"]);
    assert!(ids(Some(0)).is_empty());
    let mut task = samples::task();
    trim_history(&mut task, Some(0));
    assert!(!raw(&V1(&task)).get().contains("history"));
}
