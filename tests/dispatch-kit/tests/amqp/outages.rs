//! Tests on private brokers that are stopped, killed, frozen and starved.

use longhaul_runtime::Readiness;
use longhaul_tests::{Broker, RabbitMq, eventually};

use super::*;

async fn wait_for_readiness(readiness: &Readiness, wanted: bool) {
    eventually(WAIT_TIMEOUT, "readiness follows the broker", async || {
        let snapshot = readiness.snapshot();
        if snapshot.ready == wanted { Ok(()) } else { Err(snapshot) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_at_start_is_used_once_up_and_again_after_a_crash() {
    let mut node = RabbitMq::private();
    let broker = Broker::on(&node);
    node.stop();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let dispatch = AmqpDispatch::start(options(&broker), Some(component)).unwrap();
    let mut source = source(&dispatch, "a").await;
    dispatch.waker().wake(wake("a", 1));
    let waited = dispatch.wait_connected(Duration::from_millis(300)).await;
    assert!(waited.is_err() && !readiness.is_ready());

    node = tokio::task::spawn_blocking(move || {
        node.start();
        node
    })
    .await
    .unwrap();
    connected(&dispatch).await;
    dispatch.waker().wake(wake("a", 2));
    // The first hint may have expired while the broker started.
    while take(source.as_mut()).await != wake("a", 2) {}

    node = tokio::task::spawn_blocking(move || {
        node.kill9();
        node
    })
    .await
    .unwrap();
    wait_for_readiness(&readiness, false).await;
    let _node = tokio::task::spawn_blocking(move || {
        node.start();
        node
    })
    .await
    .unwrap();
    wait_for_readiness(&readiness, true).await;
    dispatch.waker().wake(wake("a", 3));
    while take(source.as_mut()).await != wake("a", 3) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_frozen_connections_recover_and_hints_flow_again() {
    let node = RabbitMq::private();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let dispatch = AmqpDispatch::start(options(&Broker::on(&node)), Some(component)).unwrap();
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;
    dispatch.waker().wake(wake("a", 1));
    let held = receive(source.as_mut()).await;

    node.ctl(&["close_all_connections", "because"]);
    wait_for_counts(&dispatch, "both connections are lost", |counts| counts.reconnects >= 2).await;
    // A late acknowledgement is harmless; the hint is delivered again.
    held.ack();
    assert_eq!(take(source.as_mut()).await, wake("a", 1));

    connected(&dispatch).await;
    node.sigstop();
    wait_for_readiness(&readiness, false).await;
    node.sigcont();
    wait_for_readiness(&readiness, true).await;
    dispatch.waker().wake(wake("a", 2));
    while take(source.as_mut()).await != wake("a", 2) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_blocks_no_waker_and_shows_in_readiness() {
    let node = RabbitMq::private();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let dispatch = AmqpDispatch::start(options(&Broker::on(&node)), Some(component)).unwrap();
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;

    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    wait_for_readiness(&readiness, false).await;
    for task in 0..1000 {
        dispatch.waker().wake(wake("a", task));
    }
    wait_for_counts(&dispatch, "waiting hints coalesce", |counts| counts.coalesced >= 900).await;

    node.ctl(&["set_vm_memory_high_watermark", "0.8"]);
    wait_for_readiness(&readiness, true).await;
    dispatch.waker().wake(wake("a", 1000));
    while take(source.as_mut()).await != wake("a", 1000) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_ends_the_publisher_of_a_blocked_broker() {
    let node = RabbitMq::private();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let options =
        AmqpOptions { probe_timeout: Duration::from_millis(500), ..options(&Broker::on(&node)) };
    let dispatch = AmqpDispatch::start(options, Some(component)).unwrap();
    connected(&dispatch).await;
    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    wait_for_readiness(&readiness, false).await;
    dispatch.waker().wake(wake("a", 1));
    dispatch.close().await;
    // The publisher's path counts in readiness until its task has ended.
    wait_for_readiness(&readiness, true).await;
}
