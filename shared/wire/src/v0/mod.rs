//! A2A before 1.0, in the shapes that clients still use. Shared code is written once;
//! [`LegacyForm`] holds the differences.
//!
//! Reading is as liberal as in 1.0 and accepts the names of every form if they are unambiguous.
//! Writing is strict: exactly the members of the form. Values without a place in the form are
//! omitted; the writers say which.

pub mod card;
mod card_reader;
mod event;
mod file_encoding;
mod form;
mod frames;
mod message;
mod part;
mod push;
mod request;
mod send;
mod task;

pub(crate) use event::LegacyFrame;
pub use event::received_event;
pub use file_encoding::FileEncoding;
pub use form::LegacyForm;
pub use frames::{ArtifactIndexes, EncodedFrame, FrameEncoder};
pub use push::{received_push_config, received_push_list};
pub use send::received_send;
pub use task::{received_page, received_task};

use crate::{Operation, ProtocolError, Request};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Value that serializes in a form before 1.0.
#[derive(Debug, Clone, Copy)]
pub struct V0<'a, T: ?Sized> {
    pub(crate) cx: WriteContext<'a>,
    pub(crate) value: &'a T,
}

impl<'a, T: ?Sized> V0<'a, T> {
    /// Wraps a value for a form.
    pub const fn new(form: LegacyForm, value: &'a T) -> Self {
        Self { cx: WriteContext { form, client_task_id: None, files: FileEncoding::Once }, value }
    }
}

/// Settings of a writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteContext<'a> {
    /// JSON shape.
    pub form: LegacyForm,
    /// Task id to show, if the client chose one.
    pub client_task_id: Option<&'a str>,
    /// File encoding that the client expects; only `ProtoJSON` uses it.
    pub files: FileEncoding,
}

impl<'a> WriteContext<'a> {
    /// Wraps a value with these settings.
    pub const fn wrap<'b, T: ?Sized>(self, value: &'b T) -> V0<'b, T>
    where
        'a: 'b,
    {
        V0 { cx: self, value }
    }
    /// Wraps a list with these settings.
    pub const fn wrap_all<'b, T>(self, list: &'b [T]) -> Each<'b, T>
    where
        'a: 'b,
    {
        Each { cx: self, list }
    }
}

/// List whose values serialize in a form before 1.0.
pub(crate) struct Each<'a, T> {
    cx: WriteContext<'a>,
    list: &'a [T],
}

impl<'a, T> Serialize for Each<'a, T>
where
    V0<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.iter().map(|value| self.cx.wrap(value)))
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
        Operation::GetPush => {
            Request::GetPush(push::read_ref(form, params, push::ConfigIdRule::OnlyConfig)?)
        }
        Operation::ListPush => Request::ListPush(push::read_list(form, params)?),
        Operation::DeletePush => {
            Request::DeletePush(push::read_ref(form, params, push::ConfigIdRule::Required)?)
        }
        Operation::ExtendedCard => Request::ExtendedCard(request::read_extended_card(params)?),
    })
}
