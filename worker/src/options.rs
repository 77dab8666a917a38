//! Options of a worker, and errors of its start.

use longhaul_dispatch::DispatchError;
use longhaul_domain::AgentName;
use longhaul_store::StoreError;
use std::time::Duration;

/// Options of a worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Name shown to operators: host and process.
    pub name: String,
    /// Concurrent runs of all agents together; at least 1.
    pub concurrency: u32,
    /// Time between probes of the store by an idle worker that is not woken.
    pub probe_interval: Duration,
    /// Time without a heartbeat after which a worker counts as dead.
    pub lease: Duration,
    /// Consecutive worker losses after which a task fails, instead of taking down the next worker.
    pub max_losses: u32,
    /// Time that runs have to end when the worker drains.
    pub drain: Duration,
    /// Time that a stopped executor has to return before it is abandoned. After a lost lease it is
    /// at most the last third of the lease.
    pub grace: Duration,
}

/// Error of a worker that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two executors have the same name.
    #[error("two executors are named {0}; an agent has one executor")]
    DuplicateAgent(AgentName),
    /// The worker has no executor.
    #[error("the worker has no executor; configure an [[agent]] or give it one")]
    NoExecutor,
    /// The store refused the registration.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dispatcher is closed.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
}
