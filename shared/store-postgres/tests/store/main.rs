//! The store on real Postgres servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod abandoned;
mod clock;
mod conformance;
mod fan_out;
mod migrations;
mod operating;
mod poolers;
mod proxy;
mod queue;
mod reads;
mod recovery;
mod schema;
mod servers;
mod sessions;
mod silence;
mod starting;
mod statements;
mod test_store;
mod wal;
