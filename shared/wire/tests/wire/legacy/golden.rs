//! Golden files of the older dialects, byte for byte. Set `GOLDEN_WRITE=1` to rewrite the files,
//! and review the difference.

use super::LEGACY;
use crate::{card, samples};
use longhaul_domain::{Role, Seq, TaskState, log::StatusChange};
use longhaul_wire::{
    Dialect, ProtocolError, ResultPayload, SendOutcome, StatusEvent, StreamEvent, Violation,
    WireError,
    jsonrpc::{RpcId, write_error, write_result},
    request::PushConfigRequest,
    v0::{
        LegacyForm, V0,
        card::{CombinedCard, LegacyCard},
    },
    v1::PushList,
    write::to_vec,
};
use serde::Serialize;
use std::{fs, path::Path};

pub fn folder(form: LegacyForm) -> &'static str {
    match form {
        LegacyForm::V0_3 => "v0_3",
        LegacyForm::V0_3Proto => "v0_3_proto",
        LegacyForm::V0_1 => "v0_1",
    }
}

fn bytes(form: LegacyForm, name: &str, written: Result<Vec<u8>, WireError>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(folder(form))
        .join(format!("{name}.json"));
    let text = String::from_utf8(written.unwrap()).unwrap();
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        fs::write(&path, format!("{text}\n")).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected.trim_end_matches('\n'), "{name} of {form:?}");
    assert!(!text.contains('\n'));
}

fn golden(form: LegacyForm, name: &str, value: &impl Serialize) {
    bytes(form, name, to_vec(value));
}

fn ended(state: TaskState) -> StreamEvent {
    StreamEvent::Status(StatusEvent {
        task: samples::task_id(),
        context: samples::context(),
        change: StatusChange::to(state),
        at: samples::time(),
    })
}

#[test]
fn every_result_of_every_older_dialect() {
    for (dialect, form) in LEGACY {
        let (task, bare) = (samples::task(), samples::bare_task());
        let shown = (dialect == Dialect::V0_1).then_some("order-7");
        let golden = |name: &str, output: ResultPayload<'_>| {
            golden(form, name, &dialect.view(output).with_client_task_id(shown));
        };
        golden("task", ResultPayload::Task(&task));
        golden("task_bare", ResultPayload::Task(&bare));
        let of_task = SendOutcome::Task(Box::new(bare.clone()));
        golden("send_task", ResultPayload::Send(&of_task));
        let reply = samples::message("r1", Role::Agent);
        golden("send_message", ResultPayload::Send(&SendOutcome::Message(reply.clone())));
        for (name, event) in [
            ("event_task", StreamEvent::Task(Box::new(task.clone()))),
            ("event_message", StreamEvent::Message(reply)),
            ("event_status", samples::status_event()),
            ("event_completed", ended(TaskState::Completed)),
            ("event_canceled", ended(TaskState::Canceled)),
            ("event_auth_required", ended(TaskState::AuthRequired)),
            ("event_artifact", samples::artifact_event()),
        ] {
            golden(name, ResultPayload::Event(&event));
        }
        golden("event_cursor", ResultPayload::EventWithCursor(&samples::status_event(), Seq(17)));
        golden("page", ResultPayload::Page(&samples::page(true)));
        let config = samples::push_config();
        golden("push_config", ResultPayload::Push(&config));
        let list = PushList { configs: vec![config], next_page_token: String::new() };
        golden("push_list", ResultPayload::PushList(&list));
        golden("deleted", ResultPayload::Empty);
        bytes(
            form,
            "answer",
            write_result(
                &RpcId::number(7),
                &dialect.view(ResultPayload::Task(&bare)).with_client_task_id(shown),
            ),
        );
    }
}

#[test]
fn every_request_of_every_older_dialect() {
    for (_, form) in LEGACY {
        golden(form, "send_request", &V0::new(form, &samples::send_request()));
        golden(form, "get_request", &V0::new(form, &samples::get_request()));
        golden(form, "cancel_request", &V0::new(form, &samples::cancel_request()));
        golden(form, "subscribe_request", &V0::new(form, &samples::subscribe_request()));
        golden(form, "list_request", &V0::new(form, &samples::list_request()));
        let config = samples::push_config();
        let create = PushConfigRequest { task: samples::task_id().into(), config };
        golden(form, "push_create_request", &V0::new(form, &create));
        golden(form, "push_ref_request", &V0::new(form, &samples::push_ref()));
        golden(form, "push_list_request", &V0::new(form, &samples::push_list_request()));
    }
}

#[test]
fn errors_of_every_older_dialect() {
    for (dialect, form) in LEGACY {
        let id = RpcId::number(7);
        let missing = ProtocolError::TaskNotFound { task: "nope".to_owned() };
        bytes(form, "error_task_not_found", write_error(dialect, &id, &missing));
        let wrong = ProtocolError::InvalidParams(vec![
            Violation::new("message.parts", "is required; send at least one part"),
            Violation::new("message.contextId", "is not the context of the task"),
        ]);
        bytes(form, "error_params", write_error(dialect, &id, &wrong));
        let required = ProtocolError::ExtensionSupportRequired { uri: "urn:x".to_owned() };
        bytes(form, "error_extension", write_error(dialect, &id, &required));
        let unknown = ProtocolError::MethodNotFound("x".to_owned());
        bytes(form, "error_method", write_error(dialect, &id, &unknown));
    }
}

#[test]
fn cards_of_0_3_and_combined_documents() {
    for (name, built) in [("card", card::built()), ("card_full", card::full())] {
        let card = super::card::with_old_interfaces(built);
        golden(LegacyForm::V0_3, name, &LegacyCard(&card));
        golden(LegacyForm::V0_3, &format!("{name}_any"), &CombinedCard(&card));
    }
}
