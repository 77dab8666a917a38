//! On the broker that all tests share.

use std::{collections::BTreeSet, time::Duration};

use futures::FutureExt;
use longhaul_tests::Broker;

use super::{super::AmqpDispatch, broker::Operator, *};
use crate::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_promises_of_every_dispatcher() {
    conformance::run(async || dispatch(&Broker::shared())).await;
}

#[tokio::test]
async fn a_hint_to_a_missing_queue_makes_the_queue() {
    let dispatch = dispatch(&Broker::shared());
    for task in 0..10 {
        dispatch.waker().wake(wake("new", task));
    }
    let all = |counts: &DispatchCounts| counts.confirmed + counts.coalesced == 10;
    counted(&dispatch, "all are confirmed", all).await;
    assert!(dispatch.counts().returned > 0);
    let mut source = source(&dispatch, "new").await;
    take_hints(source.as_mut(), 10).await;
    assert_eq!(dispatch.counts().dropped, 0);
}

#[tokio::test]
async fn a_queue_that_is_deleted_beneath_its_source_is_made_and_consumed_again() {
    let broker = Broker::shared();
    let (dispatch, operator) = (dispatch(&broker), Operator::of(&broker).await);
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;
    operator.delete("a").await;
    // The broker may take hints for a queue that is being deleted, and lose them: one of several arrives.
    let mut task = 0;
    let first = eventually(LIMIT, "hints arrive again", async || {
        task += 1;
        dispatch.waker().wake(wake("a", task));
        source.next().now_or_never().ok_or("nothing yet")
    })
    .await;
    first.unwrap().ack();
}

#[tokio::test]
async fn a_purge_loses_hints_and_nothing_else() {
    let broker = Broker::shared();
    let (dispatch, operator) = (dispatch(&broker), Operator::of(&broker).await);
    dispatch.declare(&[agent("a")]).await.unwrap();
    send(&dispatch, "a", 0..3).await;
    assert_eq!(operator.purge("a").await, 3);
    let mut source = source(&dispatch, "a").await;
    dispatch.waker().wake(wake("a", 3));
    assert_eq!(take(source.as_mut()).await, wake("a", 3));
}

#[tokio::test]
async fn a_queue_of_another_kind_is_used_as_it_is() {
    let broker = Broker::shared();
    Operator::of(&broker).await.declare_otherwise("a").await;
    let dispatch = dispatch(&broker);
    dispatch.declare(&[agent("a")]).await.unwrap();
    let mut source = source(&dispatch, "a").await;
    dispatch.waker().wake(wake("a", 1));
    assert_eq!(take(source.as_mut()).await, wake("a", 1));
}

#[tokio::test]
async fn what_is_no_wake_up_is_discarded_and_counted() {
    let broker = Broker::shared();
    let (dispatch, operator) = (dispatch(&broker), Operator::of(&broker).await);
    let mut source = source(&dispatch, "a").await;
    connected(&dispatch).await;
    operator.publish("a", b"").await;
    operator.publish("a", b"\xff a message of a later version, perhaps").await;
    dispatch.waker().wake(wake("a", 1));
    assert_eq!(take(source.as_mut()).await, wake("a", 1));
    assert_eq!(dispatch.counts().unreadable, 2);
}

#[tokio::test]
async fn a_close_sends_what_is_in_the_outbox() {
    let broker = Broker::shared();
    let dispatch = dispatch(&broker);
    connected(&dispatch).await;
    for task in 0..2000 {
        dispatch.waker().wake(wake("a", task));
    }
    dispatch.close().await;
    let counts = dispatch.counts();
    assert_eq!((counts.dropped, counts.confirmed + counts.coalesced), (0, 2000));
    let messages = Operator::of(&broker).await.purge("a").await;
    assert_eq!(u64::from(messages), counts.confirmed);
}

#[tokio::test]
async fn hints_that_come_together_leave_as_few_messages_that_say_how_many_they_are() {
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
async fn a_hint_older_than_its_worth_is_not_sent() {
    let broker = Broker::shared();
    let settings = AmqpOptions { message_ttl: Duration::ZERO, ..settings(&broker) };
    let dispatch = AmqpDispatch::start(settings, None).unwrap();
    dispatch.waker().wake(wake("a", 1));
    counted(&dispatch, "it is dropped", |counts| counts.dropped == 1).await;
    assert_eq!(dispatch.counts().published, 0);
}

#[tokio::test]
async fn deliveries_of_a_busy_source_are_bounded_by_the_prefetch() {
    let broker = Broker::shared();
    let settings = AmqpOptions { prefetch: 2, ..settings(&broker) };
    let dispatch = AmqpDispatch::start(settings, None).unwrap();
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
