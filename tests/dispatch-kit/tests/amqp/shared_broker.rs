//! Tests on the broker that all tests share.

use std::{collections::BTreeSet, time::Duration};

use futures::FutureExt;
use longhaul_tests::Broker;

use super::{broker_client::BrokerClient, *};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_amqp_dispatcher_keeps_every_promise() {
    longhaul_dispatch_kit::check_dispatcher(async || dispatch(&Broker::shared())).await;
}

#[tokio::test]
async fn a_hint_to_a_missing_queue_declares_the_queue() {
    let dispatch = dispatch(&Broker::shared());
    for task in 0..10 {
        dispatch.waker().wake(wake("new", task));
    }
    let all = |counts: &DispatchCounts| counts.confirmed + counts.coalesced == 10;
    wait_for_counts(&dispatch, "all hints are confirmed", all).await;
    assert!(dispatch.counts().returned > 0);
    let mut source = source(&dispatch, "new").await;
    take_hints(source.as_mut(), 10).await;
    assert_eq!(dispatch.counts().dropped, 0);
}

#[tokio::test]
async fn a_deleted_queue_is_declared_and_consumed_again() {
    let broker = Broker::shared();
    let (dispatch, client) = (dispatch(&broker), BrokerClient::connect(&broker).await);
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;
    client.delete("a").await;
    // The broker may accept and lose hints for a queue that is being deleted: send several.
    let mut task = 0;
    let first = eventually(WAIT_TIMEOUT, "hints arrive again", async || {
        task += 1;
        dispatch.waker().wake(wake("a", task));
        source.next().now_or_never().ok_or("nothing yet")
    })
    .await;
    first.unwrap().ack();
}

#[tokio::test]
async fn hints_flow_again_after_a_purge() {
    let broker = Broker::shared();
    let (dispatch, client) = (dispatch(&broker), BrokerClient::connect(&broker).await);
    dispatch.declare(&[agent("a")]).await.unwrap();
    send(&dispatch, "a", 0..3).await;
    assert_eq!(client.purge("a").await, 3);
    let mut source = source(&dispatch, "a").await;
    dispatch.waker().wake(wake("a", 3));
    assert_eq!(take(source.as_mut()).await, wake("a", 3));
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_used_unchanged() {
    let broker = Broker::shared();
    BrokerClient::connect(&broker).await.declare_classic("a").await;
    let dispatch = dispatch(&broker);
    dispatch.declare(&[agent("a")]).await.unwrap();
    let mut source = source(&dispatch, "a").await;
    dispatch.waker().wake(wake("a", 1));
    assert_eq!(take(source.as_mut()).await, wake("a", 1));
}

#[tokio::test]
async fn foreign_messages_are_discarded_and_wait_for_counts() {
    let broker = Broker::shared();
    let (dispatch, client) = (dispatch(&broker), BrokerClient::connect(&broker).await);
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;
    client.publish("a", b"").await;
    client.publish("a", b"\xff a message of a later version, perhaps").await;
    dispatch.waker().wake(wake("a", 1));
    assert_eq!(take(source.as_mut()).await, wake("a", 1));
    assert_eq!(dispatch.counts().unreadable, 2);
}

#[tokio::test]
async fn a_close_sends_the_hints_in_the_outbox() {
    let broker = Broker::shared();
    let dispatch = dispatch(&broker);
    connected(&dispatch).await;
    for task in 0..2000 {
        dispatch.waker().wake(wake("a", task));
    }
    dispatch.close().await;
    let counts = dispatch.counts();
    assert_eq!((counts.dropped, counts.confirmed + counts.coalesced), (0, 2000));
    let messages = BrokerClient::connect(&broker).await.purge("a").await;
    assert_eq!(u64::from(messages), counts.confirmed);
}

#[tokio::test]
async fn a_burst_of_hints_coalesces_into_few_messages_with_their_number() {
    let dispatch = dispatch(&Broker::shared());
    dispatch.declare(&[agent("a")]).await.unwrap();
    connected(&dispatch).await;
    for task in 0..1000 {
        dispatch.waker().wake(wake("a", task));
    }
    let mut source = source(&dispatch, "a").await;
    take_hints(source.as_mut(), 1000).await;
    assert!(dispatch.counts().published < 500, "{:?}", dispatch.counts());
}

#[tokio::test]
async fn an_expired_hint_is_not_sent() {
    let broker = Broker::shared();
    let options = AmqpOptions { message_ttl: Duration::ZERO, ..options(&broker) };
    let dispatch = AmqpDispatch::start(options, None).unwrap();
    dispatch.waker().wake(wake("a", 1));
    wait_for_counts(&dispatch, "the hint is dropped", |counts| counts.dropped == 1).await;
    assert_eq!(dispatch.counts().published, 0);
}

#[tokio::test]
async fn the_prefetch_bounds_the_deliveries_of_a_busy_source() {
    let broker = Broker::shared();
    let options = AmqpOptions { prefetch: 2, ..options(&broker) };
    let dispatch = AmqpDispatch::start(options, None).unwrap();
    let mut busy = source(&dispatch, "a").await;
    connected(&dispatch).await;
    send(&dispatch, "a", 0..5).await;
    let held = [receive(busy.as_mut()).await, receive(busy.as_mut()).await];
    let mut other = source(&dispatch, "a").await;
    let mut others = BTreeSet::new();
    while others.len() < 3 {
        others.insert(take(other.as_mut()).await.task);
    }
    assert!(held.iter().all(|delivery| !others.contains(&delivery.wake.task)));
}
