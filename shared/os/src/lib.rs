//! Access to operating system features that no safe library offers. The only crate with `unsafe`
//! code, kept short.

mod sockets;

pub use sockets::{SocketTuning, tune_connections};
