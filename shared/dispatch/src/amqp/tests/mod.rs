//! What only a real broker can show.

mod broker;
mod outages;
mod shared;
mod silence;

use std::time::Duration;

use longhaul_tests::{Broker, eventually};

use super::{AmqpDispatch, AmqpOptions};
use crate::{Dispatch, DispatchCounts, WakeSource, conformance::support::*};

/// Settings for one test's share of a broker; proofs are frequent, so that a test sees them.
fn settings(broker: &Broker) -> AmqpOptions {
    AmqpOptions {
        prefix: broker.prefix().to_owned(),
        proof_every: Duration::from_millis(500),
        proof_within: Duration::from_secs(2),
        check_every: Duration::from_millis(500),
        ..AmqpOptions::new(broker.url().to_owned().into())
    }
}

fn dispatch(broker: &Broker) -> AmqpDispatch {
    AmqpDispatch::start(settings(broker), None).unwrap()
}

async fn connected(dispatch: &AmqpDispatch) {
    dispatch.wait_connected(LIMIT).await.unwrap();
}

async fn source(dispatch: &AmqpDispatch, name: &str) -> Box<dyn WakeSource> {
    dispatch.source(vec![agent(name)]).await.unwrap()
}

/// Waits until the counts satisfy a condition.
async fn counted(dispatch: &AmqpDispatch, what: &str, condition: impl Fn(&DispatchCounts) -> bool) {
    eventually(LIMIT, what, async || {
        let counts = dispatch.counts();
        if condition(&counts) { Ok(()) } else { Err(counts) }
    })
    .await;
}

/// Sends hints for an agent one after the other, each as a message of its own.
async fn send(dispatch: &AmqpDispatch, name: &str, tasks: std::ops::Range<u128>) {
    for task in tasks {
        let before = dispatch.counts().confirmed;
        dispatch.waker().wake(wake(name, task));
        counted(dispatch, "it is confirmed", |counts| counts.confirmed > before).await;
    }
}
