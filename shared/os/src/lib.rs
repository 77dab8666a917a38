//! What the operating system offers and no safe library reaches: the only crate with `unsafe`, kept short.

mod sockets;

pub use sockets::{SocketTuning, tune_connections};
