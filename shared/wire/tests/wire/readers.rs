//! All readers, run on one input, with the properties that every response must have.

use longhaul_wire::{
    Dialect, Extensions, Negotiation, Operation, ProtocolError, Request, TaskRef,
    jsonrpc::{RpcId, RpcResponse, read_call, read_response, write_error},
    metadata,
    raw::MAX_VIOLATIONS,
    v0::{self, LegacyForm, V0},
    v1::{self, V1},
    write::to_vec,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt::Debug;

/// Maximum size of an error response, for any input.
const MAX_REFUSAL_BYTES: usize = 16 << 10;

/// Reads bytes as a body, in every way.
pub fn body(bytes: &[u8]) {
    match read_call(bytes) {
        Ok(call) => {
            for version in [None, Some("1.0"), Some("0.3"), Some("0.1")] {
                let called = Negotiation::default().call(version, &call.method, call.params());
                match called {
                    Ok((dialect, operation)) => request(dialect, operation, call.params()),
                    Err(error) => Dialect::ALL.into_iter().for_each(|d| refusal(d, &error)),
                }
            }
        }
        Err(rejected) => Dialect::ALL.into_iter().for_each(|d| refusal(d, &rejected.error)),
    }
    if let Ok((_, RpcResponse::Result(result))) = read_response(bytes) {
        results(result);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        header(text);
    }
}

/// Reads a value as parameters of every operation and as every result, in every dialect.
pub fn value(raw: &RawValue) {
    for dialect in Dialect::ALL {
        for operation in Operation::ALL {
            request(dialect, operation, raw);
            if let Some(method) = dialect.method(operation) {
                let _ = Negotiation::default().call(None, method, raw);
            }
        }
    }
    results(raw);
}

/// Reads a value as parameters. A refusal must be short; accepted parameters must survive a round
/// trip.
pub fn request(dialect: Dialect, operation: Operation, raw: &RawValue) {
    let read = match dialect.read(operation, raw) {
        Err(error) => return refusal(dialect, &error),
        Ok(read) => read,
    };
    let Some(written) = written(dialect, &read) else { return };
    let again = match dialect.read(operation, &written) {
        Ok(again) => again,
        Err(error) => panic!("{dialect:?} {operation:?} wrote {written} and refuses it: {error}"),
    };
    // Times are written to the millisecond.
    if dialect == Dialect::V1_0 && operation != Operation::List {
        assert_eq!(again, read, "{written}");
    }
    let twice = self::written(dialect, &again).expect("it was written before");
    assert_eq!(twice.get(), written.get(), "{dialect:?} {operation:?}");
}

fn refusal(dialect: Dialect, error: &ProtocolError) {
    if let ProtocolError::InvalidParams(violations) = error {
        assert!((1..=MAX_VIOLATIONS + 1).contains(&violations.len()), "{violations:?}");
    }
    let answer = write_error(dialect, &RpcId::null(), error).expect("an error can be written");
    let body = error.to_http_body_in(dialect).expect("an error can be written");
    assert!(answer.len().max(body.len()) < MAX_REFUSAL_BYTES, "{}", answer.len());
    assert!(matches!(read_response(&answer), Ok((_, RpcResponse::Error(_)))));
}

/// Reads a value as every kind of result.
pub fn results(raw: &RawValue) {
    let _ = v1::received_task(raw);
    let _ = v1::received_send(raw);
    let _ = v1::received_event(raw);
    let _ = v1::received_page(raw);
    let _ = v1::received_push_config(raw);
    let _ = v1::received_push_list(raw);
    let _ = v1::read_message_template(raw);
    for form in LegacyForm::ALL {
        let _ = v0::received_task(form, raw);
        let _ = v0::received_send(form, raw);
        let _ = v0::received_event(form, raw);
        let _ = v0::received_page(form, raw);
        let _ = v0::received_push_config(form, raw);
        let _ = v0::received_push_list(form, raw);
    }
    let _ = v1::card::received_card(raw);
    if let Ok(card) = v0::card::received_card(raw) {
        let document = text(&v0::card::CombinedCard(&card));
        assert!(v0::card::received_card(&document).is_ok(), "{document}");
    }
    if let Ok(metadata) = longhaul_domain::JsonObject::parse(raw.get()) {
        let _ = metadata::read_cursor(&metadata);
        let merged = metadata::with_cursor(Some(&metadata), longhaul_domain::Seq(7));
        assert_eq!(metadata::read_cursor(&merged), Some(longhaul_domain::Seq(7)));
    }
}

/// Results of all readers; empty for those that refuse the value.
pub fn meanings(raw: &RawValue) -> Vec<String> {
    fn shown<T: Debug, E>(who: impl Debug, read: Result<T, E>) -> String {
        read.map_or_else(|_| String::new(), |read| format!("{who:?}: {read:?}"))
    }
    let mut list = Vec::new();
    for dialect in Dialect::ALL {
        for operation in Operation::ALL {
            list.push(shown((dialect, operation), dialect.read(operation, raw)));
        }
    }
    list.push(shown("task", v1::received_task(raw)));
    list.push(shown("send", v1::received_send(raw)));
    list.push(shown("event", v1::received_event(raw)));
    list.push(shown("page", v1::received_page(raw)));
    list.push(shown("push", v1::received_push_config(raw)));
    list.push(shown("pushes", v1::received_push_list(raw)));
    list.push(shown("template", v1::read_message_template(raw)));
    for form in LegacyForm::ALL {
        list.push(shown((form, "task"), v0::received_task(form, raw)));
        list.push(shown((form, "send"), v0::received_send(form, raw)));
        list.push(shown((form, "event"), v0::received_event(form, raw)));
        list.push(shown((form, "page"), v0::received_page(form, raw)));
        list.push(shown((form, "push"), v0::received_push_config(form, raw)));
        list.push(shown((form, "pushes"), v0::received_push_list(form, raw)));
    }
    list.push(shown("card", v1::card::received_card(raw)));
    list.push(shown("old card", v0::card::received_card(raw)));
    list
}

/// Reads a text as every kind of header and path.
pub fn header(text: &str) {
    let _ = Extensions::read([text]);
    let _ = (TaskRef::parse(text), TaskRef::parse_client_id(text.to_owned()));
    for negotiation in [Negotiation::default(), Negotiation::ONLY_V1_0] {
        let _ = negotiation.for_v1_path(Some(text));
        let _ = negotiation.for_v0_path(Some(text));
        for (version, method) in [(Some(text), "SendMessage"), (None, text), (Some(text), text)] {
            if let Err(error) = negotiation.method(version, method) {
                refusal(Dialect::V1_0, &error);
            }
        }
    }
}

/// Writes a request in its dialect; `None` if the dialect cannot express it.
fn written(dialect: Dialect, request: &Request) -> Option<Box<RawValue>> {
    let Some(form) = dialect.form() else { return Some(written_v1(request)) };
    Some(match request {
        Request::Send(send) | Request::Stream(send) => text(&V0::new(form, send.as_ref())),
        Request::Get(get) => text(&V0::new(form, get)),
        Request::List(list) => text(&V0::new(form, list)),
        Request::Cancel(cancel) => text(&V0::new(form, cancel)),
        Request::Subscribe(subscribe) => text(&V0::new(form, subscribe)),
        Request::CreatePush(push) => text(&V0::new(form, push)),
        // `ProtoJSON` cannot name a task's only config.
        Request::GetPush(push) | Request::DeletePush(push) => {
            if form == LegacyForm::V0_3Proto && push.id.is_empty() || form == LegacyForm::V0_1 {
                return None;
            }
            text(&V0::new(form, push))
        }
        Request::ListPush(push) => text(&V0::new(form, push)),
        Request::ExtendedCard(_) => return None,
    })
}

fn written_v1(request: &Request) -> Box<RawValue> {
    match request {
        Request::Send(send) | Request::Stream(send) => text(&V1(send.as_ref())),
        Request::Get(get) => text(&V1(get)),
        Request::List(list) => text(&V1(list)),
        Request::Cancel(cancel) => text(&V1(cancel)),
        Request::Subscribe(subscribe) => text(&V1(subscribe)),
        Request::CreatePush(push) => text(&V1(&push.config)),
        Request::GetPush(push) | Request::DeletePush(push) => text(&V1(push)),
        Request::ListPush(push) => text(&V1(push)),
        Request::ExtendedCard(card) => text(&V1(card)),
    }
}

fn text(value: &impl Serialize) -> Box<RawValue> {
    let bytes = to_vec(value).expect("what was read can be written");
    RawValue::from_string(String::from_utf8(bytes).expect("UTF-8")).expect("JSON")
}
