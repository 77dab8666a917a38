//! Requests of tests over gRPC, and cursors of streams.

use longhaul_proto::pb::{v0, v1};
use longhaul_tests::Stack;
use prost_types::{Struct, value::Kind};
use tonic::{Request, transport::Channel};

const RESUME: &str = "urn:longhaul:a2a:resume:v1";

/// A plain HTTP/2 connection to the node at this position, modulo the number of nodes.
pub fn channel(stack: &Stack, node: usize) -> Channel {
    let nodes = stack.nodes();
    Channel::from_shared(nodes[node % nodes.len()].base()).expect("an address").connect_lazy()
}

/// A message of 1.0 with this id and text.
pub fn new_message(id: String, text: &str) -> v1::SendMessageRequest {
    let content = Some(v1::part::Content::Text(text.to_owned()));
    v1::SendMessageRequest {
        message: Some(v1::Message {
            message_id: id,
            role: v1::Role::User.into(),
            parts: vec![v1::Part { content, ..v1::Part::default() }],
            ..v1::Message::default()
        }),
        ..v1::SendMessageRequest::default()
    }
}

/// A blocking message of 0.3 with this id and text.
pub fn old_message(id: String, text: &str) -> v0::SendMessageRequest {
    let part = Some(v0::part::Part::Text(text.to_owned()));
    v0::SendMessageRequest {
        request: Some(v0::Message {
            message_id: id,
            role: v1::Role::User.into(),
            content: vec![v0::Part { part, metadata: None }],
            ..v0::Message::default()
        }),
        ..v0::SendMessageRequest::default()
    }
}

/// The cursor in the metadata of an event.
pub fn seq(metadata: Option<Struct>) -> i64 {
    let mut members = metadata.expect("an event has metadata").fields;
    let cursor = members.remove(RESUME).and_then(|cursor| cursor.kind);
    let Some(Kind::StructValue(mut cursor)) = cursor else { panic!("no cursor in {members:?}") };
    match cursor.fields.remove("seq").and_then(|seq| seq.kind) {
        Some(Kind::NumberValue(seq)) => format!("{seq}").parse().expect("a whole number"),
        other => panic!("{other:?}"),
    }
}

/// A request that resumes after a cursor.
pub fn resuming<T>(message: T, cursor: i64) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("last-event-id", cursor.into());
    request
}
