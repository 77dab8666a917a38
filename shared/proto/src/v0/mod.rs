//! A2A 0.3: the package `a2a.v1`. Tasks and webhooks go by resource names, and what protobuf of that time could not leave out is
//! read as its JSON form reads it: no history length means all of it, and a send that does not ask to wait does not wait.
//!
//! References to other tasks have no place there and are not written. Data of a part is an object there; any other value stands in
//! one, and a mark in the part's metadata says so, in the way that official implementations convert it. The bytes of files are written
//! as they are; [`EncodeFiles`] makes of them what some clients expect.

mod card;
mod content;
mod event;
mod files;
mod message;
mod name;
mod push;
mod request;
mod send;
mod task;

pub use card::card;
pub use event::event;
pub use files::EncodeFiles;
pub use push::{
    push_config, push_list, read_create_push, read_delete_push, read_get_push, read_list_push,
};
pub use request::{read_cancel, read_extended_card, read_get, read_subscribe};
pub use send::{read_send, send};
pub use task::task;
