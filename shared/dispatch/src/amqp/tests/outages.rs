//! On brokers of their own, which are mistreated.

use longhaul_runtime::Readiness;
use longhaul_tests::{Broker, RabbitMq, eventually};

use super::*;

async fn ready(readiness: &Readiness, wanted: bool) {
    eventually(LIMIT, "readiness follows the broker", async || {
        let snapshot = readiness.snapshot();
        if snapshot.ready == wanted { Ok(()) } else { Err(snapshot) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_at_the_start_is_used_once_it_is_up_and_again_after_a_crash() {
    let mut node = RabbitMq::private();
    let broker = Broker::on(&node);
    node.stop();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let dispatch = AmqpDispatch::start(settings(&broker), Some(component)).unwrap();
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
    // The first may have become worthless while the broker started.
    while take(source.as_mut()).await != wake("a", 2) {}

    node = tokio::task::spawn_blocking(move || {
        node.kill9();
        node
    })
    .await
    .unwrap();
    ready(&readiness, false).await;
    let _node = tokio::task::spawn_blocking(move || {
        node.start();
        node
    })
    .await
    .unwrap();
    ready(&readiness, true).await;
    dispatch.waker().wake(wake("a", 3));
    while take(source.as_mut()).await != wake("a", 3) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_or_frozen_come_back_and_hints_flow_again() {
    let node = RabbitMq::private();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let dispatch = AmqpDispatch::start(settings(&Broker::on(&node)), Some(component)).unwrap();
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;
    dispatch.waker().wake(wake("a", 1));
    let held = receive(source.as_mut()).await;

    node.ctl(&["close_all_connections", "because"]);
    counted(&dispatch, "both connections were lost", |counts| counts.reconnects >= 2).await;
    // An acknowledgement that comes too late does no harm; the hint comes again.
    held.ack();
    assert_eq!(take(source.as_mut()).await, wake("a", 1));

    connected(&dispatch).await;
    node.sigstop();
    ready(&readiness, false).await;
    node.sigcont();
    ready(&readiness, true).await;
    dispatch.waker().wake(wake("a", 2));
    while take(source.as_mut()).await != wake("a", 2) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_blocks_nobody_and_shows_in_readiness() {
    let node = RabbitMq::private();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let settings = settings(&Broker::on(&node));
    let dispatch = AmqpDispatch::start(settings, Some(component)).unwrap();
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;

    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    ready(&readiness, false).await;
    for task in 0..1000 {
        dispatch.waker().wake(wake("a", task));
    }
    counted(&dispatch, "what waits is merged", |counts| counts.coalesced >= 900).await;

    node.ctl(&["set_vm_memory_high_watermark", "0.8"]);
    ready(&readiness, true).await;
    dispatch.waker().wake(wake("a", 1000));
    while take(source.as_mut()).await != wake("a", 1000) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatcher_that_is_closed_leaves_a_blocked_broker() {
    let node = RabbitMq::private();
    let readiness = Readiness::new();
    let component = readiness.component("broker");
    let settings =
        AmqpOptions { proof_within: Duration::from_millis(500), ..settings(&Broker::on(&node)) };
    let dispatch = AmqpDispatch::start(settings, Some(component)).unwrap();
    connected(&dispatch).await;
    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    ready(&readiness, false).await;
    dispatch.waker().wake(wake("a", 1));
    dispatch.close().await;
    eventually(LIMIT, "nothing of it runs any more", async || {
        let running = dispatch.tasks.len();
        if running == 0 { Ok(()) } else { Err(running) }
    })
    .await;
}
