//! Keeps the worker's lease: one row, three times per lease.
//!
//! A worker whose heartbeat is not acknowledged for two thirds of the lease stops its own runs, so that when the lease is
//! over nobody but the next worker is at them. It registers anew as soon as the store answers, after it has offered what it
//! held to everybody: nobody else would, as its lease is good again.
//!
//! Nothing is awaited here but the lease itself; what the heartbeat brings is dealt with by others.

mod books;
mod doubt;
#[cfg(test)]
mod tests;

pub use books::{Books, Keeper};
pub use doubt::Doubt;

use crate::{reaper::announce, running::Running, why::Why};
use longhaul_dispatch::Waker;
use longhaul_domain::TaskKey;
use longhaul_store::{HeartbeatReply, NewWorker, Reaped, WorkerStore};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The lease of one worker.
pub struct Lease {
    pub store: Arc<dyn WorkerStore>,
    pub waker: Arc<dyn Waker>,
    pub worker: NewWorker,
    pub running: Running,
    pub doubt: Doubt,
    pub books: Books,
}

impl Lease {
    /// Keeps it for as long as the worker runs. `registered` is the moment before the worker registered.
    pub async fn keep(self, registered: Instant) {
        let lease = self.worker.lease;
        // The moment before the last call that was acknowledged: the lease runs at least from then.
        let mut good_since = registered;
        loop {
            self.doubt.next_beat(good_since, lease / 3).await;
            let give_up = good_since + lease * 2 / 3;
            good_since = match timeout_at(give_up, self.renew()).await {
                Ok((sent, HeartbeatReply::Renewed { cancels, held })) => {
                    self.cancel(cancels);
                    self.books.told(held);
                    sent
                }
                Ok((_, HeartbeatReply::Lost)) => {
                    tracing::error!("the lease is lost; all runs are given up");
                    self.start_over().await
                }
                Err(_) => {
                    tracing::error!("no heartbeat was acknowledged in time; all runs are given up");
                    self.start_over().await
                }
            };
        }
    }

    fn cancel(&self, tasks: Vec<TaskKey>) {
        for task in tasks {
            self.running.stop(task, Why::Canceled);
        }
    }

    /// Renews the lease, however often it takes; gives the moment before the call that was answered.
    async fn renew(&self) -> (Instant, HeartbeatReply) {
        loop {
            let sent = Instant::now();
            match self.store.heartbeat(self.worker.id, self.worker.lease).await {
                Ok(reply) => return (sent, reply),
                Err(error) => {
                    tracing::warn!(%error, "cannot renew the lease yet; trying again");
                    sleep(self.pause()).await;
                }
            }
        }
    }

    /// Gives every run up and registers anew, however often it takes.
    async fn start_over(&self) -> Instant {
        self.running.stop_all(Why::LeaseLost);
        loop {
            let sent = Instant::now();
            match timeout(self.worker.lease / 3, self.register()).await {
                Ok(Ok(())) => {
                    tracing::info!(worker = %self.worker.id, "registered again");
                    return sent;
                }
                Ok(Err(error)) => tracing::warn!(%error, "cannot register again yet"),
                Err(_) => tracing::warn!("cannot register again yet: the store does not answer"),
            }
            sleep(self.pause()).await;
        }
    }

    async fn register(&self) -> longhaul_store::Result<()> {
        let held = self.store.deregister_worker(self.worker.id).await?;
        // Between the two calls nothing can be claimed, so these are all: also those that were claimed after the lease had
        // been taken for lost.
        for reaped in &held {
            let (Reaped::Offered { key, .. }
            | Reaped::Due { key, .. }
            | Reaped::Canceled { key }
            | Reaped::Failed { key, .. }) = reaped;
            self.running.stop(*key, Why::LeaseLost);
        }
        announce(&*self.waker, &self.running, held);
        self.store.register_worker(self.worker.clone()).await
    }

    fn pause(&self) -> Duration {
        (self.worker.lease / 30).min(Duration::from_millis(500))
    }
}
