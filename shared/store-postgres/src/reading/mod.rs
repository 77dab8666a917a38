//! Reads, each scoped by owner in the statement itself.
//!
//! The log is append-only and without gaps, so the entries up to a last entry never change: once a task's state and last
//! entry are read, everything else of the snapshot may be read by further statements, bounded by that entry, and is of one
//! view with it.

pub mod artifacts;
pub mod blobs;
pub mod budget;
pub mod facts;
pub mod history;
pub mod list;
pub mod log;
pub mod messages;
pub mod task;
