//! Tests of the AMQP dispatcher against real brokers and silent peers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod broker_client;
mod outages;
mod shared_broker;
mod silent_peer;

use std::time::Duration;

use longhaul_dispatch::{AmqpDispatch, AmqpOptions, Dispatch, DispatchCounts, WakeSource};
use longhaul_dispatch_kit::support::*;
use longhaul_tests::{Broker, eventually};

/// Options for one test's queues on a broker, with frequent probes and checks.
fn options(broker: &Broker) -> AmqpOptions {
    AmqpOptions {
        prefix: broker.prefix().to_owned(),
        probe_interval: Duration::from_millis(500),
        probe_timeout: Duration::from_secs(2),
        check_interval: Duration::from_millis(500),
        ..AmqpOptions::new(broker.url().to_owned().into())
    }
}

fn dispatch(broker: &Broker) -> AmqpDispatch {
    AmqpDispatch::start(options(broker), None).unwrap()
}

async fn connected(dispatch: &AmqpDispatch) {
    dispatch.wait_connected(WAIT_TIMEOUT).await.unwrap();
}

async fn source(dispatch: &AmqpDispatch, name: &str) -> Box<dyn WakeSource> {
    dispatch.source(vec![agent(name)]).await.unwrap()
}

/// Waits until the counts satisfy a condition.
async fn wait_for_counts(
    dispatch: &AmqpDispatch,
    what: &str,
    condition: impl Fn(&DispatchCounts) -> bool,
) {
    eventually(WAIT_TIMEOUT, what, async || {
        let counts = dispatch.counts();
        if condition(&counts) { Ok(()) } else { Err(counts) }
    })
    .await;
}

/// Sends hints for an agent one by one, so that each is a separate message.
async fn send(dispatch: &AmqpDispatch, name: &str, tasks: std::ops::Range<u128>) {
    for task in tasks {
        let before = dispatch.counts().confirmed;
        dispatch.waker().wake(wake(name, task));
        wait_for_counts(dispatch, "the hint is confirmed", |counts| counts.confirmed > before)
            .await;
    }
}
