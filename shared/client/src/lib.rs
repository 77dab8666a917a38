//! The Rust client of Longhaul, and of any other A2A 1.0 server that speaks JSON-RPC.
//!
//! [`A2aClient`] sends messages, reads and cancels tasks, and follows them. A [`TaskStream`]
//! survives lost connections: it resumes behind the last event that it saw, so that no event is
//! missed and none is seen twice. [`OperatorClient`] manages a deployment: dead letters, schedules,
//! queues and workers.
//!
//! A client that dies loses nothing but its view. Tasks go on, and [`A2aClient::watch`] finds them
//! again by their id. A message that is sent again under the same message id attaches to the task
//! that it made.
//!
//! Every answer comes [`Decoded`]: its typed value, and the JSON as the server wrote it.
//!
//! ```no_run
//! use longhaul_client::{A2aClient, Message, MessageId, Part, ReceivedEvent, Role, SendRequest, StreamUpdate};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = A2aClient::builder("http://127.0.0.1:8080").agent("echo").build()?;
//! let message = Message::new(MessageId::new("order-17")?, Role::User, vec![Part::text("hello")]);
//! let mut stream = client.send_streaming(&SendRequest::new(message))?;
//! while let Some(update) = stream.next().await? {
//!     match update {
//!         StreamUpdate::Event(event) => match event.value {
//!             ReceivedEvent::Status(update) => println!("{}", update.status.state.name()),
//!             ReceivedEvent::Artifact(chunk) => println!("{:?}", chunk.update.artifact.parts),
//!             ReceivedEvent::Task(task) => println!("task {}", task.id),
//!             ReceivedEvent::Message(reply) => println!("{:?}", reply.parts),
//!         },
//!         StreamUpdate::Disconnected(error) => eprintln!("{error}; reconnecting"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![warn(clippy::missing_errors_doc)]

mod builder;
mod client;
mod decoded;
mod document;
mod error;
mod jsonrpc;
mod native;
mod operator;
mod redirect;
mod run_report;
mod sse;
mod stream;
#[cfg(test)]
mod stream_tests;
mod transport;

pub use builder::ClientBuilder;
pub use client::A2aClient;
pub use decoded::Decoded;
pub use document::{MAX_DOCUMENT_BYTES, fetch_document};
pub use error::{ApiKind, ClientError, RpcError};
pub use native::{RunNote, TaskLogQuery};
pub use operator::OperatorClient;
pub use run_report::ReceivedRunReport;
pub use stream::{ReconnectPolicy, StreamUpdate, TaskStream};

pub use longhaul_domain::{
    ContextId, Json, JsonObject, Message, MessageId, Part, Role, TaskState, Timestamp,
};
pub use longhaul_runtime::Backoff;
pub use longhaul_wire::{
    CancelRequest, ListRequest, ReceivedArtifact, ReceivedEvent, ReceivedPage, ReceivedSend,
    ReceivedStatus, ReceivedStatusUpdate, ReceivedTask, SendRequest, TaskRef,
    native as native_json, operator as operator_json,
};
pub use reqwest::Url;

/// Result of a call.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;
