//! Keeps the worker's lease: one row, renewed three times per lease.
//!
//! The worker treats the lease as lost when no heartbeat was acknowledged for two thirds of it, or
//! when the store says so. It then stops its own runs, so that they have ended before the lease
//! expires and another worker starts them. It registers again as soon as the store answers, after
//! offering the runs that it held: once its lease is good again, no reaper would.

use super::{cadence::MissedSignals, reconcile::HeldRuns};
use crate::{active_runs::ActiveRuns, reaper::announce_reaped, run_signals::StopReason};
use longhaul_dispatch::Waker;
use longhaul_domain::TaskKey;
use longhaul_store::{HeartbeatReply, NewWorker, Reaped, WorkerStore};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Longest pause between attempts to renew the lease or to register again.
const MAX_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Renews the lease of one worker.
pub struct LeaseKeeper {
    pub store: Arc<dyn WorkerStore>,
    pub waker: Arc<dyn Waker>,
    pub worker: NewWorker,
    pub runs: ActiveRuns,
    pub missed: MissedSignals,
    pub held: HeldRuns,
}

impl LeaseKeeper {
    /// Keeps the lease until it is dropped. `registered_at` is the instant before the worker's
    /// registration was sent.
    ///
    /// Only the lease is awaited here: cancels and the digest are handed over without waiting.
    pub async fn run(self, registered_at: Instant) {
        // The instant before the last acknowledged call was sent. The store's lease began later, so
        // it expires no earlier than this worker assumes.
        let mut renewed_at = registered_at;
        loop {
            self.missed.next_heartbeat(renewed_at, self.worker.lease / 3).await;
            let lost_at = self.lease_lost_at(renewed_at);
            renewed_at = match timeout_at(lost_at, self.send_heartbeat()).await {
                Ok((sent_at, HeartbeatReply::Renewed { cancels, held })) => {
                    self.cancel_runs(cancels);
                    self.held.update(held);
                    sent_at
                }
                Ok((_, HeartbeatReply::Lost)) => {
                    tracing::error!("lease lost: stopping all runs");
                    self.lose_lease().await
                }
                Err(_) => {
                    tracing::error!("lease lost: no heartbeat acknowledged; stopping all runs");
                    self.lose_lease().await
                }
            };
        }
    }

    /// The instant at which the lease counts as lost: after two thirds, so that the last third
    /// remains for executors to stop.
    fn lease_lost_at(&self, renewed_at: Instant) -> Instant {
        renewed_at + self.worker.lease * 2 / 3
    }

    fn cancel_runs(&self, tasks: Vec<TaskKey>) {
        for task in tasks {
            self.runs.stop(task, StopReason::Canceled);
        }
    }

    /// Sends heartbeats until one is answered; returns the instant before that one was sent.
    async fn send_heartbeat(&self) -> (Instant, HeartbeatReply) {
        loop {
            let sent_at = Instant::now();
            match self.store.heartbeat(self.worker.id, self.worker.lease).await {
                Ok(reply) => return (sent_at, reply),
                Err(error) => {
                    tracing::warn!(%error, "heartbeat failed; retrying");
                    sleep(self.retry_pause()).await;
                }
            }
        }
    }

    /// Stops every run and registers again, retrying until the store takes the registration.
    async fn lose_lease(&self) -> Instant {
        self.runs.stop_all(StopReason::LeaseLost);
        loop {
            let sent_at = Instant::now();
            match timeout(self.worker.lease / 3, self.register_again()).await {
                Ok(Ok(())) => {
                    tracing::info!(worker = %self.worker.id, "worker registered again");
                    return sent_at;
                }
                Ok(Err(error)) => tracing::warn!(%error, "registration failed; retrying"),
                Err(_) => tracing::warn!("registration timed out; retrying"),
            }
            sleep(self.retry_pause()).await;
        }
    }

    async fn register_again(&self) -> longhaul_store::Result<()> {
        let reaped = self.store.deregister_worker(self.worker.id).await?;
        // A worker that is not registered claims nothing. So these are all of its runs, including
        // those that were claimed after `stop_all`.
        for reaped in &reaped {
            let (Reaped::Offered { key, .. }
            | Reaped::Due { key, .. }
            | Reaped::Canceled { key }
            | Reaped::Failed { key, .. }) = reaped;
            self.runs.stop(*key, StopReason::LeaseLost);
        }
        announce_reaped(&*self.waker, &self.runs, reaped);
        self.store.register_worker(self.worker.clone()).await
    }

    fn retry_pause(&self) -> Duration {
        (self.worker.lease / 30).min(MAX_RETRY_PAUSE)
    }
}
