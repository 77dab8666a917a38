//! Heartbeats of a worker: they keep its lease, bring cancels, and tell which runs the store holds
//! for it.
//!
//! When the worker dies, its lease expires and reapers on other workers offer its runs again.

mod cadence;
mod lease;
mod reconcile;
#[cfg(test)]
mod tests;

pub use cadence::MissedSignals;
pub use lease::LeaseKeeper;
pub use reconcile::{HeldRuns, Reconciler};
