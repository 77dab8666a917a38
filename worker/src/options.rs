//! How a worker is run, and why one does not start.

use longhaul_dispatch::DispatchError;
use longhaul_domain::AgentName;
use longhaul_store::StoreError;
use std::time::Duration;

/// How a worker is run.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// For people: host and process.
    pub name: String,
    /// Runs at a time, of all agents together; at least 1.
    pub concurrency: u32,
    /// How often an idle worker looks into the store without being woken.
    pub probe_interval: Duration,
    /// How long after its last heartbeat a worker counts as dead.
    pub lease: Duration,
    /// A task that was running when as many workers in a row as this were lost fails, instead of taking the next one down.
    pub max_losses: u32,
    /// How long runs may go on when the worker drains.
    pub drain: Duration,
    /// How long an executor that was told to stop has to do so before it is given up. Where the lease is lost, no longer
    /// than the last third of the lease.
    pub grace: Duration,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two executors have one name.
    #[error("two executors are named {0}; an agent has one executor")]
    DuplicateAgent(AgentName),
    /// There is nothing to run.
    #[error("the worker has no executor; configure an [[agent]] or give it one")]
    NoExecutor,
    /// The store did not take the registration.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dispatcher is closed.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
}
