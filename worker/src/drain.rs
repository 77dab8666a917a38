//! The end of a worker: it drains, deregisters, and stops its executors.
//!
//! Every step is bounded, also when the store does not answer. Runs that cannot be released are
//! offered to other workers when the lease expires.

use crate::{
    active_runs::ActiveRuns, options::WorkerOptions, reaper::announce_reaped, run::AgentExecutor,
    run_signals::StopReason,
};
use longhaul_dispatch::Waker;
use longhaul_domain::{AgentName, WorkerId};
use longhaul_runtime::{Shutdown, TaskSet};
use longhaul_store::WorkerStore;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Longest wait for the last writes to the store.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lets runs end within the drain time, then stops the others so that they are released. A second
/// signal stops them at once.
pub async fn drain(
    options: &WorkerOptions,
    shutdown: &Shutdown,
    run_tasks: &TaskSet,
    runs: &ActiveRuns,
) {
    let (running_tasks, limit_s) = (run_tasks.len(), options.drain.as_secs());
    if running_tasks == 0 {
        tracing::info!("draining");
    } else {
        let hint = "a second signal stops at once";
        tracing::info!(running_tasks, limit_s, hint, "draining: waiting for running tasks");
    }
    run_tasks.stop();
    tokio::select! {
        // Runs that have just ended need no release.
        biased;
        () = run_tasks.wait() => return shutdown.stop(),
        () = shutdown.stop_now().cancelled() => {}
        () = sleep(options.drain) => {}
    }
    tracing::warn!(running_tasks = run_tasks.len(), "drain time over: releasing runs");
    runs.stop_all(StopReason::Draining);
    let release_deadline = async {
        tokio::select! {
            () = shutdown.stop_now().cancelled() => {}
            () = sleep(options.grace) => {}
        }
        sleep(FINAL_WRITE_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        () = run_tasks.wait() => {}
        () = release_deadline => {
            tracing::error!("runs not released; their lease will expire");
            // They must write nothing more: another worker may have them soon.
            runs.stop_all(StopReason::LeaseLost);
        }
    }
    shutdown.stop();
}

/// Deregisters the worker, which offers its remaining runs to others.
pub async fn deregister(
    store: &dyn WorkerStore,
    waker: &dyn Waker,
    worker: WorkerId,
    runs: &ActiveRuns,
) {
    match timeout(FINAL_WRITE_TIMEOUT, store.deregister_worker(worker)).await {
        Ok(Ok(reaped)) => {
            announce_reaped(waker, runs, reaped);
            tracing::debug!(%worker, "worker deregistered");
        }
        Ok(Err(error)) => tracing::warn!(%error, "deregister failed; the lease will expire"),
        Err(_) => tracing::warn!("deregister timed out; the lease will expire"),
    }
}

/// Stops the executors after the last run.
pub async fn stop_executors(
    options: &WorkerOptions,
    agents: &BTreeMap<AgentName, Arc<AgentExecutor>>,
) {
    for (name, agent) in agents {
        let stopped = timeout(options.grace + FINAL_WRITE_TIMEOUT, agent.executor.stop()).await;
        if stopped.is_err() {
            tracing::warn!(agent = %name, "executor stop timed out");
        }
    }
}
