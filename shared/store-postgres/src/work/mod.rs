//! What workers do: leases, claims, output, and the reaping of what was lost.

pub mod append;
pub mod checkpoint;
pub mod claim;
pub mod fast;
pub mod lease;
pub mod lost;
pub mod output;
pub mod reap;
pub mod settle;
