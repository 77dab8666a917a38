//! A2A before 1.0, in the shapes that clients still speak. What they share is written once, and [`LegacyForm`] says where
//! they differ.
//!
//! Reading is as liberal as that of 1.0 and understands the names of every form wherever they mean one thing only.
//! Writing is strict: exactly the members of the form, so a value that the form has no place for is not written. What that
//! concerns is said where it is written.

mod artifact;
pub mod card;
mod content;
mod enums;
mod event;
mod file_bytes;
mod form;
mod frames;
mod message;
mod output;
mod page;
mod part;
mod push;
mod request;
mod send;
mod status;
mod task;

pub use event::received_event;
pub use file_bytes::FileEncoding;
pub use form::LegacyForm;
pub use frames::{ArtifactIndexes, FrameEncoder, FrameView};
pub use page::received_page;
pub use push::{received_push_config, received_push_list};
pub use send::received_send;
pub use task::received_task;

pub(crate) use output::serialize as serialize_output;

use crate::{Operation, ProtocolError, Request};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A value as a form before 1.0 writes it.
#[derive(Debug, Clone, Copy)]
pub struct V0<'a, T: ?Sized> {
    pub(crate) cx: Cx<'a>,
    pub(crate) value: &'a T,
}

impl<'a, T: ?Sized> V0<'a, T> {
    /// As this form writes it.
    pub const fn new(form: LegacyForm, value: &'a T) -> Self {
        Self { cx: Cx { form, shown: None, files: FileEncoding::Once }, value }
    }
}

/// What writing depends on beside the value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cx<'a> {
    /// The shape.
    pub form: LegacyForm,
    /// How the client names the task that this is about, where it chose the id itself.
    pub shown: Option<&'a str>,
    /// How the client expects files; `ProtoJSON` alone asks.
    pub files: FileEncoding,
}

impl<'a> Cx<'a> {
    /// A value in the same shape.
    pub const fn of<'b, T: ?Sized>(self, value: &'b T) -> V0<'b, T>
    where
        'a: 'b,
    {
        V0 { cx: self, value }
    }
    /// Every value of a list in the same shape.
    pub const fn each<'b, T>(self, list: &'b [T]) -> Each<'b, T>
    where
        'a: 'b,
    {
        Each { cx: self, list }
    }
}

/// A list of values as a form writes them.
pub(crate) struct Each<'a, T> {
    cx: Cx<'a>,
    list: &'a [T],
}

impl<'a, T> Serialize for Each<'a, T>
where
    V0<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.iter().map(|value| self.cx.of(value)))
    }
}

/// Reads the parameters of an operation.
pub fn read_request(
    form: LegacyForm,
    operation: Operation,
    params: &RawValue,
) -> Result<Request, ProtocolError> {
    Ok(match operation {
        Operation::Send => Request::Send(Box::new(send::read_send(form, params)?)),
        Operation::Stream => Request::Stream(Box::new(send::read_send(form, params)?)),
        Operation::Get => Request::Get(request::read_get(form, params)?),
        Operation::List => Request::List(request::read_list(form, params)?),
        Operation::Cancel => Request::Cancel(request::read_cancel(form, params)?),
        Operation::Subscribe => Request::Subscribe(request::read_subscribe(form, params)?),
        Operation::CreatePush => Request::CreatePush(push::read_create(form, params)?),
        Operation::GetPush => Request::GetPush(push::read_ref(form, params, push::Named::OrOnly)?),
        Operation::ListPush => Request::ListPush(push::read_list(form, params)?),
        Operation::DeletePush => {
            Request::DeletePush(push::read_ref(form, params, push::Named::Always)?)
        }
        Operation::ExtendedCard => Request::ExtendedCard(request::read_extended_card(params)?),
    })
}
