//! An HTTP/1.1 client with minimal CPU cost, because it shares the cores with what it measures.
//!
//! One TCP connection carries one request at a time. The waiting task itself drives it: there is no
//! background task and no pool. Requests are byte templates, in which only numbers change.

pub mod answer;
pub mod chunk;
mod connection;
mod message;
mod sse_parser;

pub use connection::{HttpAnswer, HttpConnection, RequestError, SseEvents};
pub use message::{EchoMessage, call_body, message_id};
pub use sse_parser::SseEvent;
