//! A2A 1.0 as `ProtoJSON`: the JSON form of the protobuf package `lf.a2a.v1`.
//!
//! [`V1`] around a value is that value as this dialect writes it. The functions `read_…` read what clients send, those
//! `received_…` what servers answer.

mod artifact;
pub mod card;
mod enums;
mod event;
mod list;
mod message;
mod part;
mod push;
mod request;
mod send;
mod status;
mod task;

pub(crate) use enums::{ROLES, STATES};
pub use enums::{role_name, state_name};
pub use event::{Cursored, received_event};
pub use list::received_page;
pub(crate) use message::{ReadMessage, context_id};
pub(crate) use push::http_url;
pub use push::{PushList, received_push_config, received_push_list};
pub(crate) use request::{count, history_length, page_size};
pub use request::{
    read_cancel, read_extended_card, read_get, read_list, read_push_config, read_push_list,
    read_push_ref, read_subscribe,
};
pub(crate) use send::require_some;
pub use send::{read_message_template, read_send, received_send};
pub use task::received_task;

use crate::{
    Operation, ProtocolError, Request, WireError,
    raw::{JsonPath, Parsed, RawJson, read_root},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A value as 1.0 writes it.
#[derive(Debug, Clone, Copy)]
pub struct V1<'a, T: ?Sized>(pub &'a T);

/// A list of values as 1.0 writes them.
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

pub(crate) fn asked<T>(
    params: &RawValue,
    read: impl FnOnce(RawJson<'_>, &JsonPath<'_>) -> Parsed<T>,
) -> Result<T, ProtocolError> {
    read_root(params, read).map_err(ProtocolError::InvalidParams)
}

pub(crate) fn received<T>(
    result: &RawValue,
    read: impl FnOnce(RawJson<'_>, &JsonPath<'_>) -> Parsed<T>,
) -> Result<T, WireError> {
    read_root(result, read).map_err(WireError::Invalid)
}
