//! Keeps the worker's lease: one row, three times per lease.
//!
//! A worker whose heartbeat is not acknowledged for two thirds of the lease stops its own runs, so that when the lease is
//! over nobody but the next worker is at them. It registers anew as soon as the store answers, after it has offered what it
//! held to everybody: nobody else would, as its lease is good again.

use crate::{reaper::offer, running::Running};
use longhaul_dispatch::Waker;
use longhaul_executor::Stopped;
use longhaul_store::{HeartbeatReply, NewWorker, Store};
use std::{sync::Arc, time::Duration};

/// Runs for as long as the worker does.
pub async fn keep(
    store: Arc<dyn Store>,
    waker: Arc<dyn Waker>,
    worker: NewWorker,
    running: Running,
) {
    let lease = worker.lease;
    let mut registered = true;
    loop {
        tokio::time::sleep(lease / 3).await;
        registered = if registered {
            beat(&*store, &worker, &running).await
        } else {
            register(&*store, &*waker, &worker).await
        };
    }
}

/// Renews the lease; `false` when it is lost.
async fn beat(store: &dyn Store, worker: &NewWorker, running: &Running) -> bool {
    // The last acknowledgement is a third of the lease old; another third without one, and the runs are given up.
    let reply = tokio::time::timeout(worker.lease / 3, renew(store, worker)).await;
    match reply {
        Ok(HeartbeatReply::Renewed { cancels }) => {
            for key in cancels {
                running.stop(key, Stopped::Canceled);
            }
            return true;
        }
        Ok(HeartbeatReply::Lost) => tracing::error!("the lease is lost; all runs are given up"),
        Err(_) => tracing::error!("no heartbeat was acknowledged in time; all runs are given up"),
    }
    running.stop_all(Stopped::LeaseLost);
    false
}

/// Renews the lease, however often it takes.
async fn renew(store: &dyn Store, worker: &NewWorker) -> HeartbeatReply {
    loop {
        match store.heartbeat(worker.id, worker.lease).await {
            Ok(reply) => return reply,
            Err(error) => {
                tracing::warn!(%error, "cannot renew the lease yet; trying again");
                tokio::time::sleep((worker.lease / 30).min(Duration::from_millis(500))).await;
            }
        }
    }
}

async fn register(store: &dyn Store, waker: &dyn Waker, worker: &NewWorker) -> bool {
    let again = async {
        let held = store.retire_worker(worker.id).await?;
        store.register_worker(worker.clone()).await.map(|()| held)
    };
    match again.await {
        Ok(held) => {
            offer(waker, held);
            tracing::info!(worker = %worker.id, "registered again");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "cannot register again yet");
            false
        }
    }
}
