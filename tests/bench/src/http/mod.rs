//! An HTTP/1.1 client that costs as little CPU as it can: it shares the cores with what it measures.
//!
//! One TCP connection with one request at a time, driven by the task that waits for the answer: there is no task behind it and no
//! pool. Requests are bytes made once, in which only numbers change.

pub mod answer;
pub mod chunk;
mod connection;
mod events;
mod message;

pub use connection::{Answer, Connection, Failure};
pub use events::{Event, Events};
pub use message::{Message, call_body, message_id};
