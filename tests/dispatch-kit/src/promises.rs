//! The promises of every dispatcher, one function each.

use std::{collections::BTreeSet, time::Duration};

use futures::FutureExt;
use longhaul_dispatch::{Dispatch, DispatchError, WakeHint, WakeSource};
use longhaul_runtime::TraceContext;

use crate::support::{WAIT_TIMEOUT, agent, receive, take, take_hints, wake};

async fn source<D: Dispatch>(dispatch: &D, agents: &[&str]) -> Box<dyn WakeSource> {
    let agents = agents.iter().map(|name| agent(name)).collect();
    let source = dispatch.source(agents).await.expect("an open dispatcher gives sources");
    dispatch.wait_connected(WAIT_TIMEOUT).await.expect("the broker of this test is up");
    source
}

pub(super) async fn a_hint_goes_to_exactly_one_of_two_sources<D: Dispatch>(dispatch: &D) {
    let (mut one, mut two) = (source(dispatch, &["a"]).await, source(dispatch, &["a"]).await);
    let sent: Vec<WakeHint> = (0..100).map(|task| wake("a", task)).collect();
    for wake in &sent {
        dispatch.waker().wake(wake.clone());
    }
    let mut seen = 0;
    while seen < sent.len() {
        let delivery = tokio::select! {
            delivery = receive(one.as_mut()) => delivery,
            delivery = receive(two.as_mut()) => delivery,
        };
        assert!(sent.contains(&delivery.wake));
        seen += delivery.hint_count() as usize;
        delivery.ack();
    }
    assert_eq!(seen, sent.len(), "every hint arrived exactly once");
    let more = one.next().now_or_never().is_some() || two.next().now_or_never().is_some();
    assert!(!more, "no other hint arrived");
    dispatch.close().await;
}

pub(super) async fn the_trace_travels_along<D: Dispatch>(dispatch: &D) {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = TraceContext::parse(parent, Some("vendor=1")).expect("a good header");
    let mut source = source(dispatch, &["a"]).await;
    let sent = WakeHint { trace: Some(trace), ..wake("a", 1) };
    dispatch.waker().wake(sent.clone());
    assert_eq!(take(source.as_mut()).await, sent);
    dispatch.close().await;
}

pub(super) async fn hints_of_a_dropped_source_go_to_another<D: Dispatch>(dispatch: &D) {
    let mut dying = source(dispatch, &["a"]).await;
    dispatch.waker().wake(wake("a", 1));
    let held = receive(dying.as_mut()).await;
    dispatch.waker().wake(wake("a", 2));
    drop(dying);
    drop(held);
    let mut successor = source(dispatch, &["a"]).await;
    let mut tasks = take_hints(successor.as_mut(), 2).await;
    tasks.sort_unstable();
    assert_eq!(tasks, [wake("a", 1).task, wake("a", 2).task]);
    dispatch.close().await;
}

pub(super) async fn an_unacknowledged_hint_is_delivered_again<D: Dispatch>(dispatch: &D) {
    let mut source = source(dispatch, &["a"]).await;
    dispatch.waker().wake(wake("a", 1));
    drop(receive(source.as_mut()).await);
    assert_eq!(take(source.as_mut()).await, wake("a", 1));
    dispatch.close().await;
}

pub(super) async fn a_paused_source_requeues_and_receives_nothing<D: Dispatch>(dispatch: &D) {
    let mut full = source(dispatch, &["a"]).await;
    for task in 0..4 {
        dispatch.waker().wake(wake("a", task));
    }
    // It has received one hint, so the others are on their way or there already.
    drop(receive(full.as_mut()).await);
    full.pause().await;
    assert!(full.next().now_or_never().is_none(), "a paused source receives nothing");
    let mut free = source(dispatch, &["a"]).await;
    for task in 4..8 {
        dispatch.waker().wake(wake("a", task));
    }
    tokio::select! {
        biased;
        _ = full.next() => panic!("a paused source received something"),
        _ = take_hints(free.as_mut(), 8) => {}
    }
    dispatch.close().await;
}

pub(super) async fn a_resumed_source_receives_again<D: Dispatch>(dispatch: &D) {
    let mut source = source(dispatch, &["a"]).await;
    for task in 0..20 {
        source.pause().await;
        dispatch.waker().wake(wake("a", task));
        source.resume().await;
        assert_eq!(take(source.as_mut()).await, wake("a", task));
    }
    dispatch.close().await;
}

/// Takes hints until `wanted` arrives. Earlier ones may be delivered again, requeued by a dropped
/// source; later ones must not.
async fn take_up_to(source: &mut dyn WakeSource, wanted: &WakeHint) {
    loop {
        let taken = take(source).await;
        if taken == *wanted {
            return;
        }
        assert!(taken.task < wanted.task, "{taken:?} arrived before {wanted:?}");
    }
}

pub(super) async fn a_source_can_leave_some_of_its_agents_to_others<D: Dispatch>(dispatch: &D) {
    let mut narrow = source(dispatch, &["a", "b"]).await;
    for round in 0..5 {
        narrow.receive_for(&BTreeSet::from([agent("b")])).await;
        for name in ["a", "b"] {
            dispatch.waker().wake(wake(name, round));
        }
        take_up_to(narrow.as_mut(), &wake("b", round)).await;
        let mut other = source(dispatch, &["a"]).await;
        let wanted = wake("a", round);
        tokio::select! {
            biased;
            delivery = narrow.next() => {
                let agent = delivery.map(|delivery| delivery.wake.agent.clone());
                assert_ne!(agent, Some(self::agent("a")), "a hint left to others was received");
            }
            () = take_up_to(other.as_mut(), &wanted) => {}
        }
        drop(other);
        narrow.receive_for(&BTreeSet::from([agent("a"), agent("b")])).await;
        dispatch.waker().wake(wake("a", round));
        take_up_to(narrow.as_mut(), &wake("a", round)).await;
    }
    dispatch.close().await;
}

pub(super) async fn hints_for_other_agents_are_not_received<D: Dispatch>(dispatch: &D) {
    let mut both = source(dispatch, &["a", "b"]).await;
    let mut third = source(dispatch, &["c"]).await;
    for name in ["a", "c", "b"] {
        dispatch.waker().wake(wake(name, 1));
    }
    let mut seen = [take(both.as_mut()).await.agent, take(both.as_mut()).await.agent];
    seen.sort_unstable();
    assert_eq!(seen, [agent("a"), agent("b")]);
    assert_eq!(take(third.as_mut()).await.agent, agent("c"));
    dispatch.close().await;
}

pub(super) async fn an_abandoned_wait_loses_nothing<D: Dispatch>(dispatch: &D) {
    let mut source = source(dispatch, &["a"]).await;
    for task in 0..50 {
        dispatch.waker().wake(wake("a", task));
    }
    let mut seen = 0;
    while seen < 50 {
        // Abandon each wait at once, many of them while a hint arrives.
        match source.next().now_or_never() {
            Some(delivery) => {
                let delivery = delivery.expect("the source has not ended");
                seen += delivery.hint_count();
                delivery.ack();
            }
            None => tokio::task::yield_now().await,
        }
    }
    assert_eq!(seen, 50);
    dispatch.close().await;
}

pub(super) async fn overflow_never_blocks<D: Dispatch>(dispatch: &D) {
    let waker = dispatch.waker();
    let flood = tokio::task::spawn_blocking(move || {
        (0..50_000).for_each(|task| waker.wake(wake("flooded", task)));
    });
    tokio::time::timeout(WAIT_TIMEOUT, flood)
        .await
        .expect("waking does not block")
        .expect("waking does not panic");
    let mut source = source(dispatch, &["flooded"]).await;
    take(source.as_mut()).await;
    dispatch.close().await;
}

pub(super) async fn a_close_ends_sources_and_rejects_new_ones<D: Dispatch>(dispatch: &D) {
    let mut open = source(dispatch, &["a"]).await;
    let bounded = tokio::time::timeout(Duration::from_secs(10), dispatch.close()).await;
    bounded.expect("a close is bounded");
    let end =
        tokio::time::timeout(WAIT_TIMEOUT, open.next()).await.expect("a close ends its sources");
    assert!(end.is_none());
    assert!(matches!(dispatch.source(vec![agent("a")]).await, Err(DispatchError::Closed)));
    let before = dispatch.counts().dropped;
    dispatch.waker().wake(wake("a", 1));
    assert_eq!(
        dispatch.counts().dropped,
        before + 1,
        "a hint after the close is counted as dropped"
    );
}
