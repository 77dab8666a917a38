//! The end of a worker: bounded, whether or not the store answers. What cannot be given back is offered to others when the
//! lease is over.

use super::{Agents, Worker};
use crate::{reaper::announce, running::Running, why::Why};
use longhaul_domain::WorkerId;
use longhaul_runtime::{Shutdown, TaskSet};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long the last word to the store may take.
const LAST_WORD: Duration = Duration::from_secs(2);

impl Worker {
    /// Lets runs end; tells those that take too long to stop, so that they are given back. A second signal gives them
    /// back at once.
    pub(super) async fn drain(&self, shutdown: &Shutdown, runs: &TaskSet, running: &Running) {
        let (running_tasks, limit_s) = (runs.len(), self.options.drain.as_secs());
        if running_tasks == 0 {
            tracing::info!("draining");
        } else {
            let hint = "a second signal stops at once";
            tracing::info!(running_tasks, limit_s, hint, "draining: waiting for running tasks");
        }
        runs.stop();
        tokio::select! {
            biased;
            () = runs.wait() => return shutdown.stop(),
            () = shutdown.stop_now().cancelled() => {}
            () = sleep(self.options.drain) => {}
        }
        tracing::warn!(runs = runs.len(), "giving back what still runs");
        running.stop_all(Why::Draining);
        let last_moment = async {
            tokio::select! {
                () = shutdown.stop_now().cancelled() => {}
                () = sleep(self.options.grace) => {}
            }
            sleep(LAST_WORD).await;
        };
        tokio::select! {
            biased;
            () = runs.wait() => {}
            () = last_moment => {
                tracing::error!("some runs could not be given back; their lease will run out");
                // They write nothing more, so that whoever gets them has them alone.
                running.stop_all(Why::LeaseLost);
            }
        }
        shutdown.stop();
    }

    /// Takes the worker off.
    pub(super) async fn retire(&self, worker: WorkerId, running: &Running) {
        match timeout(LAST_WORD, self.store.deregister_worker(worker)).await {
            Ok(Ok(reaped)) => announce(&*self.dispatch.waker(), running, reaped),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot take this worker off; its lease will run out");
            }
            Err(_) => {
                tracing::warn!("cannot take this worker off: the store does not answer");
            }
        }
    }

    /// Tells the executors that there will be no more runs.
    pub(super) async fn stop(&self, agents: &Agents) {
        for (name, agent) in agents {
            let stopped = timeout(self.options.grace + LAST_WORD, agent.executor.stop()).await;
            if stopped.is_err() {
                tracing::warn!(agent = %name, "the executor does not stop");
            }
        }
    }
}
