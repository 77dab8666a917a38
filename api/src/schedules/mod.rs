//! Schedules: tasks made by the clock.
//!
//! Every node looks for due schedules and fires them. The store lets one node fire each, in the
//! transaction that sets the next time, so any number of nodes make each task once. A node that
//! dies in between leaves the schedule due for the others. Nothing fires before its time by the
//! store's clock. Times missed while no node ran are handled by each schedule's policy.

mod backoff;
mod due;
mod expression;
mod firing;

pub use expression::{Expression, ExpressionError};
pub use firing::start;
