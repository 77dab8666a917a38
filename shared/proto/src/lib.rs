//! A2A over gRPC: protobuf messages to domain values and back, for 1.0 (package `lf.a2a.v1`) and
//! 0.3 (`a2a.v1`).
//!
//! A gRPC request becomes the same value as its JSON form, by the same rules, and violations have
//! the same paths. No input makes this crate panic. It holds no state, so a crash leaves nothing
//! behind. Numbers are doubles in protobuf; `value.rs` lists what that loses.

pub mod bounds;
pub mod codec;
pub mod pb;
mod read;
mod status;
pub mod v0;
pub mod v1;
mod value;
mod write;

pub use status::{status, transport_error};
