//! API nodes: any number of them, none of which remembers anything.
//!
//! A response that names a task id means that the task is durable: the store has committed it before the answer is
//! written. When a node dies, its clients reconnect to another one with their cursor and miss nothing.
//!
//! `server` holds the connections; `bindings` turn bytes into requests and answers into bytes; `service` does what is asked, one use case a file,
//! without knowing which binding or protocol version asked; `schedules` make tasks by the clock; `hub` brings what happens on any node to those who wait here.

mod agents;
mod apart;
mod auth;
mod bindings;
mod hub;
mod node;
mod options;
mod schedules;
mod server;
mod service;
#[cfg(test)]
mod testing;
mod weight;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub use hub::bench;
pub use node::{Api, ApiParts};
pub use options::{ApiOptions, Authentication, ExtendedCards};
