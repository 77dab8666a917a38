//! Clients: many at once, each seeing one task after the other through, whatever happens to the servers.

mod api;
mod talk;
mod watch;

pub use api::{Api, Trouble};
pub use talk::{Notes, Talk};
