//! The environment that the runs of a worker share.

use crate::{active_runs::ActiveRuns, availability::AgentAvailability, reaper::ReapAlarm};
use longhaul_dispatch::Waker;
use longhaul_executor::{Executor, ExecutorDescriptor};
use longhaul_runtime::IdSource;
use longhaul_store::Store;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// The environment of every run of a worker.
pub struct RunEnv {
    pub store: Arc<dyn Store>,
    pub waker: Arc<dyn Waker>,
    pub ids: Arc<dyn IdSource>,
    pub runs: ActiveRuns,
    /// Bounds how many runs read their history at once; never closed.
    pub history_reads: Semaphore,
    /// Set for retries: a reaper makes them due.
    pub alarm: ReapAlarm,
    /// The runtime of the executors.
    pub executors: Handle,
    /// Time that a stopped executor has to return.
    pub grace: Duration,
    /// Grace period after a lost lease: the executor must end before another worker starts the
    /// task.
    pub lease_lost_grace: Duration,
    /// Cancelled when the worker stops claiming.
    pub draining: CancellationToken,
    /// Cancelled when the grace periods are cut short.
    pub stop_now: CancellationToken,
}

/// An executor and its agent, as registered by this worker.
pub struct AgentExecutor {
    pub executor: Arc<dyn Executor>,
    pub descriptor: ExecutorDescriptor,
    pub availability: Arc<AgentAvailability>,
}
