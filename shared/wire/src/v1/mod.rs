//! A2A 1.0 as `ProtoJSON`, the JSON form of the protobuf package `lf.a2a.v1`.
//!
//! A value inside [`V1`] serializes in this dialect. Functions named `read_…` read client requests;
//! those named `received_…` read server responses.

pub mod card;
mod card_security;
mod event;
mod message;
mod push;
mod request;
mod send;
mod task;

pub use event::{EventWithCursor, received_event};
pub(crate) use message::{ParsedMessage, ROLES, STATES, context_id};
pub use message::{role_name, state_name};
pub(crate) use push::http_url;
pub use push::{PushList, received_push_config, received_push_list};
pub(crate) use request::{count, history_length, page_size};
pub use request::{
    read_cancel, read_extended_card, read_get, read_list, read_push_config, read_push_list,
    read_push_ref, read_subscribe,
};
pub(crate) use send::{SendConfiguration, require_parts};
pub use send::{read_message_template, read_send, received_send};
pub use task::{received_page, received_task};

use crate::{
    Operation, ProtocolError, Request, WireError,
    raw::{JsonPath, Parsed, RawJson, read_root},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Value that serializes in the shape of 1.0.
#[derive(Debug, Clone, Copy)]
pub struct V1<'a, T: ?Sized>(pub &'a T);

/// List whose values serialize in the shape of 1.0.
pub(crate) struct Each<'a, T>(pub &'a [T]);

impl<'a, T> Serialize for Each<'a, T>
where
    V1<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(V1))
    }
}

/// Reads the parameters of an operation.
pub fn read_request(operation: Operation, params: &RawValue) -> Result<Request, ProtocolError> {
    Ok(match operation {
        Operation::Send => Request::Send(Box::new(read_send(params)?)),
        Operation::Stream => Request::Stream(Box::new(read_send(params)?)),
        Operation::Get => Request::Get(read_get(params)?),
        Operation::List => Request::List(read_list(params)?),
        Operation::Cancel => Request::Cancel(read_cancel(params)?),
        Operation::Subscribe => Request::Subscribe(read_subscribe(params)?),
        Operation::CreatePush => Request::CreatePush(read_push_config(params)?),
        Operation::GetPush => Request::GetPush(read_push_ref(params)?),
        Operation::ListPush => Request::ListPush(read_push_list(params)?),
        Operation::DeletePush => Request::DeletePush(read_push_ref(params)?),
        Operation::ExtendedCard => Request::ExtendedCard(read_extended_card(params)?),
    })
}

pub(crate) fn read_params<T>(
    params: &RawValue,
    read: impl FnOnce(RawJson<'_>, &JsonPath<'_>) -> Parsed<T>,
) -> Result<T, ProtocolError> {
    read_root(params, read).map_err(ProtocolError::InvalidParams)
}

pub(crate) fn read_result<T>(
    result: &RawValue,
    read: impl FnOnce(RawJson<'_>, &JsonPath<'_>) -> Parsed<T>,
) -> Result<T, WireError> {
    read_root(result, read).map_err(WireError::Invalid)
}
