//! A2A dialects: bytes on the wire to domain values and back.
//!
//! Reading is liberal and loses nothing: unknown members are ignored, `null` means absent, names may be camelCase or
//! `snake_case`, and `data` and `metadata` come back byte for byte. Whatever is wrong is reported with its path, all of
//! it at once. Writing is strict: exactly `ProtoJSON` of the dialect. No bytes from outside make this crate panic, and it
//! holds no state, so a crash in the middle leaves nothing behind.
//!
//! A use case never sees a dialect: it takes a [`request`] and gives an [`event`]; [`Dialect`] converts.
//!
//! `cargo bench -p longhaul-wire` measures reading and writing.

mod bounds;
pub mod card;
pub mod chosen;
pub mod cursor;
mod details;
pub mod dialect;
pub mod ends;
pub mod error;
mod error_in;
pub mod event;
pub mod extensions;
pub mod facts;
pub mod interfaces;
pub mod jsonrpc;
mod metadata;
pub mod native;
mod negotiation;
pub mod operation;
pub mod operator;
pub mod raw;
pub mod received;
pub mod request;
pub mod table;
mod time;
pub mod v0;
pub mod v1;
pub mod write;

pub use dialect::{Dialect, DialectView, Negotiation, ResultPayload};
pub use ends::WaitEnd;
pub use error::ProtocolError;
pub use event::{ArtifactEvent, SendOutcome, StatusEvent, StreamEvent, TaskPage, trim_history};
pub use extensions::Extensions;
pub use facts::{QueueStanding, RunReport};
pub use operation::Operation;
pub use raw::Violation;
pub use received::{
    ReceivedArtifact, ReceivedEvent, ReceivedPage, ReceivedSend, ReceivedStatus,
    ReceivedStatusUpdate, ReceivedTask,
};
pub use request::{
    CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, PushConfig, PushConfigRequest,
    PushListRequest, PushRefRequest, Request, SendRequest, SubscribeRequest, TaskRef,
};
pub use write::WireError;
