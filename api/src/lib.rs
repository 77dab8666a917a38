//! Stateless API nodes; any number of them serve one deployment.
//!
//! A response that names a task id means that the task is durable: the store has committed it
//! before the response is written. When a node dies, its clients reconnect to another one with
//! their cursor and miss nothing.
//!
//! `server` holds the connections. `bindings` turn bytes into requests and results into bytes.
//! `service` holds the use cases, one a file, which know neither binding nor protocol version.
//! `schedules` fires schedules that are due. `hub` brings new log entries from any node to the
//! subscribers of this one.

mod agents;
mod auth;
mod bindings;
mod blocking;
mod hub;
mod node;
mod options;
mod schedules;
mod server;
mod service;
mod size_estimate;
#[cfg(test)]
mod testing;

pub use node::{Api, ApiParts};
pub use options::{ApiOptions, Authentication, ExtendedCards};
