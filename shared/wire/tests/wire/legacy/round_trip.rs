//! Values survive a round trip through each older dialect, except for what the form cannot express;
//! a second trip writes the same bytes.

use super::{LEGACY, lossy, raw};
use crate::strategies as any_of;
use longhaul_domain::Message;
use longhaul_wire::{
    Dialect, Operation, ReceivedArtifact, ReceivedEvent, ReceivedSend, ReceivedStatus,
    ReceivedStatusUpdate, ReceivedTask, Request, SendOutcome, StreamEvent, TaskRef,
    request::{PushConfigRequest, PushRefRequest, SubscribeRequest},
    v0::{self, LegacyForm, V0},
    v1::PushList,
};
use proptest::prelude::*;
use serde_json::value::RawValue;

fn read_send(dialect: Dialect, params: &RawValue) -> longhaul_wire::SendRequest {
    match dialect.read(Operation::Send, params) {
        Ok(Request::Send(request)) => *request,
        other => panic!("{params} was read as {other:?}"),
    }
}

proptest! {
    #[test]
    fn tasks_survive(task in any_of::task()) {
        for (_, form) in LEGACY {
            let written = raw(&V0::new(form, &task));
            let read = v0::received_task(form, &written).unwrap();
            let mut expected = ReceivedTask::from(&task);
            lossy::task(form, &mut expected);
            lossy::tasks_named_alike(form, &mut expected, &read);
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn messages_survive(message in any_of::message()) {
        for (_, form) in [LEGACY[0], LEGACY[1]] {
            let outcome = SendOutcome::Message(message.clone());
            let read = v0::received_send(form, &raw(&V0::new(form, &outcome))).unwrap();
            let mut expected = message.clone();
            lossy::message(form, &mut expected);
            prop_assert_eq!(&read, &ReceivedSend::Message(expected.clone()));
            let event = StreamEvent::Message(message.clone());
            let frames = &mut form_dialect(form).frames(None);
            let read = v0::received_event(form, &raw(&frames.encode(&event)[0])).unwrap();
            prop_assert_eq!(read, ReceivedEvent::Message(expected));
        }
    }

    #[test]
    fn status_events_survive(event in any_of::status_event()) {
        for (dialect, form) in LEGACY {
            let sent = StreamEvent::Status(event.clone());
            let read = v0::received_event(form, &raw(&dialect.frames(None).encode(&sent)[0])).unwrap();
            let ReceivedEvent::Status(read) = read else { panic!("{read:?}") };
            let message = event.change.message.clone().map(|mut message: Message| {
                message.task_id.get_or_insert(event.task);
                message.context_id.get_or_insert_with(|| event.context.clone());
                message
            });
            let mut status = ReceivedStatus { state: event.change.state, message, at: Some(event.at) };
            lossy::status(form, &mut status);
            if let (Some(expected), Some(read)) = (&mut status.message, &read.status.message) {
                lossy::named_alike(form, expected, read);
            }
            let expected = ReceivedStatusUpdate {
                task: lossy::task_ref(form, &event.task.into()),
                context: (form != LegacyForm::V0_1).then(|| event.context.clone()),
                status,
                metadata: event.change.metadata.clone(),
            };
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn artifact_events_survive(event in any_of::artifact_event()) {
        for (dialect, form) in LEGACY {
            let sent = StreamEvent::Artifact(event.clone());
            let read = v0::received_event(form, &raw(&dialect.frames(None).encode(&sent)[0])).unwrap();
            let mut update = event.update.clone();
            lossy::artifact(form, &mut update.artifact, 0);
            let expected = ReceivedArtifact {
                task: lossy::task_ref(form, &event.task.into()),
                context: (form != LegacyForm::V0_1).then(|| event.context.clone()),
                update,
            };
            prop_assert_eq!(read, ReceivedEvent::Artifact(expected));
        }
    }

    #[test]
    fn sends_survive(request in any_of::send_request()) {
        for (dialect, form) in LEGACY {
            let mut request = request.clone();
            if form == LegacyForm::V0_1 {
                // In 0.1 a message always names its task.
                request.target.get_or_insert_with(|| TaskRef::Chosen("t".to_owned()));
            }
            let written = raw(&V0::new(form, &request));
            let read = read_send(dialect, &written);
            let again = raw(&V0::new(form, &read));
            prop_assert_eq!(again.get(), written.get());

            let context = request.message.context_id.clone();
            lossy::message(form, &mut request.message);
            request.message.context_id = context;
            lossy::named_alike(form, &mut request.message, &read.message);
            request.tenant = None;
            if let Some(push) = &mut request.push_config {
                (push.tenant, push.task) = (None, None);
                push.id = push.id.take().filter(|_| form != LegacyForm::V0_1);
            }
            match form {
                LegacyForm::V0_3 => {}
                LegacyForm::V0_3Proto => request.history_length = request.history_length.filter(|n| *n > 0),
                LegacyForm::V0_1 => {
                    request.target = request.target.map(|task| lossy::task_ref(form, &task));
                    request.history_length = Some(request.history_length.unwrap_or_default());
                    request.return_immediately = false;
                    request.accepted_output_modes.clear();
                }
            }
            prop_assert_eq!(read, request);
        }
    }

    #[test]
    fn requests_about_tasks_survive(
        get in any_of::get_request(),
        cancel in any_of::cancel_request(),
        list in any_of::list_request(),
    ) {
        for (dialect, form) in LEGACY {
            let written = raw(&V0::new(form, &get));
            let Ok(Request::Get(read)) = dialect.read(Operation::Get, &written) else { panic!("{written}") };
            prop_assert_eq!(&read.id, &lossy::task_ref(form, &get.id));
            let asked = get.history_length;
            prop_assert_eq!(read.history_length, match form {
                LegacyForm::V0_3 => asked,
                LegacyForm::V0_3Proto => asked.filter(|n| *n > 0),
                LegacyForm::V0_1 => Some(asked.unwrap_or_default()),
            });
            let written = raw(&V0::new(form, &cancel));
            let Ok(Request::Cancel(read)) = dialect.read(Operation::Cancel, &written) else { panic!("{written}") };
            prop_assert_eq!(&read.id, &lossy::task_ref(form, &cancel.id));
            prop_assert_eq!(read.metadata, cancel.metadata.clone().filter(|_| form != LegacyForm::V0_3Proto));
            let written = raw(&V0::new(form, &SubscribeRequest { tenant: None, id: get.id.clone() }));
            let Ok(Request::Subscribe(read)) = dialect.read(Operation::Subscribe, &written) else { panic!("{written}") };
            prop_assert_eq!(read.id, lossy::task_ref(form, &get.id));
        }
        for (dialect, form) in [LEGACY[0], LEGACY[1]] {
            let written = raw(&V0::new(form, &list));
            let Ok(Request::List(read)) = dialect.read(Operation::List, &written) else { panic!("{written}") };
            let mut expected = list.clone();
            expected.tenant = None;
            if form == LegacyForm::V0_3Proto {
                expected.history_length = expected.history_length.filter(|n| *n > 0);
            }
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn webhooks_survive(config in any_of::push_config(), get in any_of::get_request()) {
        for (dialect, form) in LEGACY {
            let task = lossy::task_ref(form, &get.id);
            let mut config = config.clone();
            (config.tenant, config.task) = (None, Some(task.clone()));
            let request = PushConfigRequest { task: task.clone(), config: config.clone() };
            config.id = config.id.take().filter(|_| form != LegacyForm::V0_1);
            let written = raw(&V0::new(form, &request));
            let Ok(Request::CreatePush(read)) = dialect.read(Operation::CreatePush, &written) else { panic!("{written}") };
            prop_assert_eq!(&read.config, &config);
            prop_assert_eq!(&read.task, &task);
            let answer = v0::received_push_config(form, &raw(&V0::new(form, &config))).unwrap();
            prop_assert_eq!(&answer, &config);
            let list = PushList { configs: vec![config.clone(), config.clone()], next_page_token: String::new() };
            prop_assert_eq!(v0::received_push_list(form, &raw(&V0::new(form, &list))).unwrap(), list);
            let named = PushRefRequest { tenant: None, task, id: "p".to_owned() };
            let written = raw(&V0::new(form, &named));
            let Ok(Request::GetPush(read)) = dialect.read(Operation::GetPush, &written) else { panic!("{written}") };
            prop_assert_eq!(read.task, named.task);
            prop_assert_eq!(read.id, if form == LegacyForm::V0_1 { "" } else { "p" });
        }
    }
}

fn form_dialect(form: LegacyForm) -> Dialect {
    LEGACY.into_iter().find(|(_, of)| *of == form).unwrap().0
}
