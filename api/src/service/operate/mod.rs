//! What operators do: dead letters, queues, workers and schedules, of every owner.
//!
//! Each is one step in the store: an operator who lost the answer asks again, and what was done is recognised.

mod dead;
mod owners;
mod redrive;
mod schedules;

pub use dead::{DeadFilter, Place};
pub use redrive::Redone;
pub use schedules::{Planned, Wanted};

use super::Caller;
use longhaul_domain::OwnerId;
use longhaul_store::StoreError;
use longhaul_wire::ProtocolError;

/// Why an operator was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Something given is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It is not in a state in which that can be done.
    #[error("{0}")]
    Conflict(String),
    /// As with every other request.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Answer to an operator.
pub type Result<T> = std::result::Result<T, Refusal>;

impl Caller {
    /// Logs a failure of the store and gives what the operator is told.
    fn refused(&self, error: &StoreError) -> Refusal {
        self.failed(error).into()
    }

    /// The same caller, acting for an owner.
    fn acting_for(&self, owner: OwnerId) -> Self {
        let mut caller = self.clone();
        caller.principal.owner = owner;
        caller
    }
}
