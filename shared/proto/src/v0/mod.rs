//! A2A 0.3: the package `a2a.v1`. Tasks and webhooks have resource names. Values that protobuf
//! cannot omit are read as in its JSON form: history length 0 means all, and a configuration
//! without `blocking` does not wait.
//!
//! The package has no task references, so they are omitted. A data part holds an object; other
//! values are wrapped in one and marked in the part's metadata, as official implementations do.
//! Files are raw bytes; [`EncodeFiles`] adapts them to clients that expect base64.

mod card;
mod files;
mod message;
mod push;
mod request;
mod send;
mod task;

pub use card::card;
pub use files::EncodeFiles;
pub use push::{
    push_config, push_list, read_create_push, read_delete_push, read_get_push, read_list_push,
};
pub use request::{read_cancel, read_extended_card, read_get, read_subscribe};
pub use send::{read_send, send};
pub use task::{event, task};
