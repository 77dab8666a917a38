//! Listens for what running tasks must be told: cancels, and messages of the client.
//!
//! Signals may be lost; the heartbeat brings cancels again, and runs look for messages from time to time.

use crate::running::Running;
use futures::StreamExt;
use longhaul_executor::Stopped;
use longhaul_runtime::Backoff;
use longhaul_store::{ControlSignal, Store};
use std::sync::Arc;

/// Runs for as long as the worker does.
pub async fn listen(store: Arc<dyn Store>, running: Running) {
    let mut failures = 0;
    loop {
        match store.control_signals().await {
            Ok(mut signals) => {
                failures = 0;
                while let Some(signal) = signals.next().await {
                    obey(&running, signal);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot listen for cancels and messages"),
        }
        tokio::time::sleep(Backoff::RECONNECT.random_delay(failures)).await;
        failures = failures.saturating_add(1);
    }
}

fn obey(running: &Running, signal: ControlSignal) {
    match signal {
        ControlSignal::Cancel(keys) => {
            for key in keys {
                running.stop(key, Stopped::Canceled);
            }
        }
        ControlSignal::Message(keys) => running.ring(Some(&keys)),
        // The claim loop hears of these by its wake-ups.
        ControlSignal::Runnable(_) => {}
        ControlSignal::Missed => running.ring(None),
    }
}
