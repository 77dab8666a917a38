//! Listens for cancels and client messages that concern active runs.
//!
//! Signals can be lost. After a possible loss, heartbeats, which carry cancels too, come more
//! often for a while, and every run checks for messages. Runs also check on a timer.

use crate::{active_runs::ActiveRuns, heartbeat::MissedSignals, run_signals::StopReason};
use futures::StreamExt;
use longhaul_runtime::Backoff;
use longhaul_store::{ControlSignal, Store};
use std::sync::Arc;

/// Listens until it is dropped.
pub async fn listen(store: Arc<dyn Store>, runs: ActiveRuns, missed: MissedSignals) {
    let mut failures = 0;
    loop {
        match store.control_signals().await {
            Ok(mut signals) => {
                failures = 0;
                while let Some(signal) = signals.next().await {
                    handle(&runs, &missed, signal);
                }
            }
            Err(error) => tracing::warn!(%error, "control signals unavailable"),
        }
        // Whatever was sent while nothing listened is lost.
        recover_missed(&runs, &missed);
        tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
        failures = failures.saturating_add(1);
    }
}

fn handle(runs: &ActiveRuns, missed: &MissedSignals, signal: ControlSignal) {
    match signal {
        ControlSignal::Cancel(keys) => {
            for key in keys {
                runs.stop(key, StopReason::Canceled);
            }
        }
        ControlSignal::Message(keys) => runs.notify_message(Some(&keys)),
        // The claim loop learns of runnable tasks through wake-ups.
        ControlSignal::Runnable(_) => {}
        ControlSignal::Missed => recover_missed(runs, missed),
    }
}

fn recover_missed(runs: &ActiveRuns, missed: &MissedSignals) {
    runs.notify_message(None);
    missed.report();
}
