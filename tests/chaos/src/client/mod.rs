//! Clients: many at once, each seeing one task after the other through, whatever happens to the servers.

mod api;
mod clients;
mod listen;
mod talk;
mod watch;

pub use api::{Api, Trouble};
pub use clients::Clients;
pub use talk::{Notes, Talk};
pub use watch::{Connection, Next};
