//! A2A 1.0: the package `lf.a2a.v1`. Requests are read by value, so contents are not copied;
//! responses are written from borrowed values.

mod card;
mod message;
mod push;
mod request;
mod send;
mod task;

pub use card::card;
pub use push::{
    push_config, push_list, read_create_push, read_delete_push, read_get_push, read_list_push,
};
pub use request::{read_cancel, read_extended_card, read_get, read_list, read_subscribe};
pub use send::{read_send, send};
pub use task::{event, page, task};

pub(crate) use card::{capabilities, provider, requirements, schemes, signatures, skills};
