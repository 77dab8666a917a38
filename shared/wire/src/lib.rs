//! A2A dialects: bytes on the wire to domain values and back.
//!
//! Reading is liberal and lossless: unknown members are ignored, `null` means absent, names may be
//! camelCase or `snake_case`, and `data` and `metadata` survive byte for byte. All violations are
//! reported at once, each with its path. Writing is strict: exactly the `ProtoJSON` of the dialect.
//! No input makes this crate panic. It holds no state, so a crash leaves nothing behind.
//!
//! Use cases never see a dialect: they take a [`request`] and return an [`event`]; [`Dialect`]
//! converts.
//!
//! `cargo bench -p longhaul-wire` measures reading and writing.

mod bounds;
pub mod card;
mod dialect;
pub mod error;
pub mod error_codes;
mod error_details;
mod error_names;
pub mod event;
pub mod extensions;
pub mod jsonrpc;
pub mod metadata;
pub mod native;
mod negotiation;
mod operation;
pub mod operator;
pub mod raw;
mod received;
pub mod request;
mod run_report;
mod task_ref;
pub mod v0;
pub mod v1;
mod wait_end;
pub mod write;

pub use dialect::{Dialect, DialectView, ResultPayload};
pub use error::ProtocolError;
pub use event::{ArtifactEvent, SendOutcome, StatusEvent, StreamEvent, TaskPage, trim_history};
pub use extensions::Extensions;
pub use negotiation::Negotiation;
pub use operation::Operation;
pub use raw::{Violation, shortened};
pub use received::{
    ReceivedArtifact, ReceivedEvent, ReceivedPage, ReceivedSend, ReceivedStatus,
    ReceivedStatusUpdate, ReceivedTask,
};
pub use request::{
    CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, PushConfig, PushConfigRequest,
    PushListRequest, PushRefRequest, Request, SendRequest, SubscribeRequest,
};
pub use run_report::{QueueStanding, RunReport};
pub use task_ref::{TaskRef, assign_message_id, client_task_id};
pub use wait_end::WaitEnd;
pub use write::WireError;
