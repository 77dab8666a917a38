//! A2A over gRPC: protobuf messages to domain values and back, for 1.0 (package `lf.a2a.v1`) and 0.3 (`a2a.v1`).
//!
//! A request of gRPC becomes the very same value as one of JSON that says the same, by the same rules, and what is wrong
//! with it is reported with the same paths. Nothing that comes in makes this crate panic, and it holds no state, so a crash
//! in the middle leaves nothing behind. What gRPC loses is said in `value.rs`: numbers are doubles.

pub mod bounds;
pub mod codec;
pub mod pb;
mod read;
mod status;
mod url;
pub mod v0;
pub mod v1;
mod value;
mod write;

pub use status::{status, transport_error};
