//! Operator use cases: dead letters, queues, workers and schedules, of every owner.
//!
//! Each is one atomic step in the store. An operator that lost the response asks again, and finds
//! the step done.

mod dead_letters;
mod owners;
mod redrive;
mod schedules;

pub use dead_letters::{DeadLetterCursor, DeadLetterFilter};
pub use redrive::RedrivenTask;
pub use schedules::{OwnedSchedule, ScheduleSpec};

use super::Caller;
use longhaul_domain::OwnerId;
use longhaul_store::StoreError;
use longhaul_wire::ProtocolError;

/// An operator request was refused.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Something named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// An error that every request may get.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Result of an operator request.
pub type Result<T> = std::result::Result<T, OperatorError>;

impl Caller {
    /// Logs an error of the store and returns the operator's error.
    fn refused(&self, error: &StoreError) -> OperatorError {
        self.failed(error).into()
    }

    /// The same caller, acting for an owner.
    fn acting_for(&self, owner: OwnerId) -> Self {
        let mut caller = self.clone();
        caller.principal.owner = owner;
        caller
    }
}
