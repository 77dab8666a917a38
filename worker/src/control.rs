//! Listens for what running tasks must be told: cancels, and messages of the client.
//!
//! Signals may be lost. Whenever some may have been, the heartbeat asks for cancels at once and more often for a while, and
//! runs look for messages; runs look for them from time to time anyway.

use crate::{heartbeat::Doubt, running::Running, why::Why};
use futures::StreamExt;
use longhaul_runtime::Backoff;
use longhaul_store::{ControlSignal, Store};
use std::sync::Arc;

/// Runs for as long as the worker does.
pub async fn listen(store: Arc<dyn Store>, running: Running, doubt: Doubt) {
    let mut failures = 0;
    loop {
        match store.control_signals().await {
            Ok(mut signals) => {
                failures = 0;
                while let Some(signal) = signals.next().await {
                    obey(&running, &doubt, signal);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot listen for cancels and messages"),
        }
        missed(&running, &doubt);
        tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
        failures = failures.saturating_add(1);
    }
}

fn obey(running: &Running, doubt: &Doubt, signal: ControlSignal) {
    match signal {
        ControlSignal::Cancel(keys) => {
            for key in keys {
                running.stop(key, Why::Canceled);
            }
        }
        ControlSignal::Message(keys) => running.ring(Some(&keys)),
        // The claim loop hears of these by its wake-ups.
        ControlSignal::Runnable(_) => {}
        ControlSignal::Missed => missed(running, doubt),
    }
}

fn missed(running: &Running, doubt: &Doubt) {
    running.ring(None);
    doubt.raise();
}
