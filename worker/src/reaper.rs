//! Offers the runs of dead workers again, and ends those that were to be canceled and were not. Every worker does so; any
//! number at once is fine.

use longhaul_dispatch::{Wake, Waker};
use longhaul_runtime::Backoff;
use longhaul_store::{Reaped, Store};
use std::{sync::Arc, time::Duration};

/// Runs reaped at once.
const BATCH: u32 = 100;

/// Looks every `interval`, with jitter, for as long as the worker runs.
pub async fn reap(store: Arc<dyn Store>, waker: Arc<dyn Waker>, interval: Duration) {
    let pause = Backoff { initial: interval, factor: 1.0, max: interval, jitter: true };
    loop {
        let full = match store.reap(BATCH).await {
            Ok(reaped) => {
                let full = reaped.len() >= BATCH as usize;
                offer(&*waker, reaped);
                full
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for lost runs");
                false
            }
        };
        if !full {
            tokio::time::sleep(interval / 2 + pause.random_delay(0) / 2).await;
        }
    }
}

/// Wakes a worker for every run that is offered again.
pub fn offer(waker: &dyn Waker, reaped: Vec<Reaped>) {
    for reaped in reaped {
        match reaped {
            Reaped::Offered { key, agent } => {
                tracing::warn!(task_id = %key.task, %agent, "a lost run is offered again");
                waker.wake(Wake { agent, task: key, trace: None });
            }
            Reaped::Canceled { key } => {
                tracing::info!(task_id = %key.task, "canceled: its executor did not stop in time");
            }
        }
    }
}
