//! Writes: each function is one intent, run within a transaction that it does not see the ends of.

pub mod accept;
pub mod append;
pub mod cancel;
pub mod claim;
pub mod dedupe;
mod guard;
pub mod keys;
pub mod reap;
pub mod registry;
pub mod settle;
pub mod workers;
