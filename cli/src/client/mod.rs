//! The client side: A2A 1.0 over JSON-RPC, against any server.
//!
//! A request that is answered is answered once; a stream that breaks is taken up again where it broke. A client that dies
//! loses nothing but its view: tasks go on, and `longhaul tasks watch` finds them again.

mod attachment;
mod draft;
mod durability;
mod endpoint;
mod error;
mod fetch;
mod follow;
#[cfg(test)]
mod follow_tests;
mod operator;
mod redirect;
mod site;
mod sse;

pub use draft::{answer, context, draft};
pub use endpoint::{Answered, Endpoint};
pub use error::ClientError;
pub use fetch::fetch;
pub use follow::{Begin, Follow, Patience, Step, get, params, unreadable};
pub use operator::{Operator, read};
pub use site::{RunNote, Site, TaskLogEntry, TaskLogPage};
