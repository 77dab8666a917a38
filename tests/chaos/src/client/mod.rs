//! Concurrent clients, each following one task after the other to its end despite all faults.

mod api_nodes;
mod event_connection;
mod pool;
mod task_client;

pub use api_nodes::{ApiNodes, CallError};
pub use event_connection::{EventConnection, StreamItem};
pub use pool::ClientPool;
pub use task_client::ClientNotes;
