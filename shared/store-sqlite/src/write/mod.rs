//! Writes: each function is one intent, run within a transaction that it does not see the ends of.

pub mod accept;
pub mod append;
pub mod cancel;
pub mod checkpoints;
pub mod claim;
pub mod clock_step;
pub mod dead;
pub mod dedupe;
mod guard;
pub mod keys;
pub mod look;
pub mod reap;
pub mod registry;
pub mod schedules;
pub mod settle;
pub mod turns;
pub mod workers;
