//! Hints: listeners hear about grown logs and about work for workers.

use crate::kit::{TestClient, working};
use futures::StreamExt;
use longhaul_domain::{AgentName, Seq, SignalChannel, TaskKey, TerminalState};
use longhaul_store::{ControlSignal, LogSignal, RequestCancel, SignalStream, Store};
use std::{sync::Arc, time::Duration};

/// Waits for the first signal that matches. Signals may be lost only if the stream says so.
async fn first<T: std::fmt::Debug>(stream: &mut SignalStream<T>, fits: impl Fn(&T) -> bool) {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let signal = stream.next().await.expect("the stream continues");
            if fits(&signal) {
                return;
            }
        }
    });
    found.await.expect("the signal comes");
}

async fn grown(stream: &mut SignalStream<LogSignal>, key: TaskKey, last: Seq) {
    first(stream, |signal| match signal {
        LogSignal::Grown(tasks) => tasks.iter().any(|(k, seq)| *k == key && *seq >= last),
        LogSignal::Joined(channel) => *channel == SignalChannel::for_task(key.task),
        LogSignal::Missed => true,
    })
    .await;
}

pub async fn a_log_that_grows_is_signalled(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut one = client.store.log_signals().await.unwrap();
    let mut other = client.store.log_signals().await.unwrap();
    let mut run = client.running().await;
    client.store.follow_logs(&[run.key()]);
    grown(&mut one, run.key(), Seq(1)).await;
    client.store.append(run.append(vec![working()])).await.unwrap();
    grown(&mut one, run.key(), Seq(2)).await;
    client.follow_up(run.key(), "more").await;
    grown(&mut one, run.key(), Seq(3)).await;
    run.read = Seq(3);
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    grown(&mut one, run.key(), Seq(5)).await;
    grown(&mut other, run.key(), Seq(5)).await;
}

pub async fn a_running_task_that_is_canceled_is_signalled(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = client.running().await;
    let mut signals = client.store.control_signals().await.unwrap();
    let cancel = RequestCancel { key: run.key(), grace: Duration::from_secs(60) };
    client.store.request_cancel(cancel).await.unwrap();
    first(&mut signals, |signal| match signal {
        ControlSignal::Cancel(tasks) => tasks.contains(&run.key()),
        ControlSignal::Message(_) | ControlSignal::Runnable(_) => false,
        ControlSignal::Missed => true,
    })
    .await;
}

pub async fn a_message_to_a_running_task_is_signalled(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = client.running().await;
    let mut signals = client.store.control_signals().await.unwrap();
    client.follow_up(run.key(), "more").await;
    first(&mut signals, |signal| match signal {
        ControlSignal::Message(tasks) => tasks.contains(&run.key()),
        ControlSignal::Cancel(_) | ControlSignal::Runnable(_) => false,
        ControlSignal::Missed => true,
    })
    .await;
}

pub async fn an_announcement_is_signalled_to_every_worker(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = client.running().await;
    let mut one = client.store.control_signals().await.unwrap();
    let mut other = client.store.control_signals().await.unwrap();
    let agent = AgentName::new("announced").unwrap();
    client.store.announce(&agent, run.key());
    for signals in [&mut one, &mut other] {
        first(signals, |signal| match signal {
            ControlSignal::Runnable(due) => due.contains(&(agent.clone(), run.key())),
            ControlSignal::Cancel(_) | ControlSignal::Message(_) => false,
            ControlSignal::Missed => true,
        })
        .await;
    }
}
