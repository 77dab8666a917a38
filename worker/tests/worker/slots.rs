//! Who gets the work: slots of a worker, limits of an agent, wake-ups.

use crate::scene::{LIMIT, Scene, does, joined, quick};
use longhaul_domain::TaskState;
use longhaul_executor::prelude::*;
use longhaul_runtime::Shutdown;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};

#[tokio::test]
async fn an_agent_at_its_own_limit_goes_on_when_a_slot_of_it_is_freed() {
    let scene = Scene::new().await;
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(scene.accept("narrow").await);
    }
    let worker = scene.start(vec![
        does("narrow", |executor| executor.concurrency = Some(1), quick),
        does("wide", |_| {}, quick),
    ]);
    for key in keys {
        assert_eq!(scene.ended(key).await, TaskState::Completed);
    }
    scene.end(worker).await;
}

#[tokio::test]
async fn an_agent_that_is_limited_over_all_workers_goes_on_when_one_of_its_runs_ends() {
    let scene = Scene::new().await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&now), Arc::clone(&most));
    let counted = move |_: TaskContext| {
        let (now, most) = counts.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Outcome::Completed(None))
        }
    };
    let limit = |executor: &mut ExecutorDescriptor| executor.agent.limits.running.total = Some(2);
    let worker = scene.start(vec![does("limited", limit, counted)]);
    scene.store.registered(1).await;
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(scene.accept("limited").await);
    }
    for key in keys {
        assert_eq!(scene.ended(key).await, TaskState::Completed);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    scene.end(worker).await;
}

/// Says who has begun, and goes on when it may.
fn gated(
    name: &str,
    concurrency: u32,
    begun: mpsc::UnboundedSender<&'static str>,
    who: &'static str,
    gate: Arc<Semaphore>,
) -> Arc<dyn Executor> {
    let work = move |_: TaskContext| {
        let (begun, gate) = (begun.clone(), Arc::clone(&gate));
        async move {
            begun.send(who).unwrap();
            gate.acquire().await.unwrap().forget();
            Ok(Outcome::Completed(None))
        }
    };
    does(name, |executor| executor.concurrency = Some(concurrency), work)
}

#[tokio::test]
async fn a_wake_up_for_an_agent_without_a_free_slot_is_left_to_other_workers() {
    let scene = Scene::new().await;
    let (begun, mut order) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let narrow = |who| gated("narrow", 1, begun.clone(), who, Arc::clone(&gate));
    let first = scene.start(vec![narrow("first"), does("wide", |_| {}, quick)]);
    scene.store.registered(1).await;
    let one = scene.accept("narrow").await;
    assert_eq!(order.recv().await, Some("first"));
    let second = scene.start(vec![narrow("second")]);
    scene.store.registered(2).await;
    // The second worker finds nothing before it waits; then only a wake-up makes it look again.
    let other = scene.accept("wide").await;
    assert_eq!(scene.ended(other).await, TaskState::Completed);
    let two = scene.accept("narrow").await;
    let woken = tokio::time::timeout(LIMIT, order.recv()).await.expect("the other one is woken");
    assert_eq!(woken, Some("second"));
    gate.add_permits(2);
    assert_eq!(scene.ended(one).await, TaskState::Completed);
    assert_eq!(scene.ended(two).await, TaskState::Completed);
    scene.shutdown.drain();
    joined(first).await;
    joined(second).await;
}

#[tokio::test]
async fn a_draining_worker_wakes_others_for_the_room_that_its_runs_leave() {
    let scene = Scene::new().await;
    let (begun, mut order) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let limited = |who| {
        let (begun, gate) = (begun.clone(), Arc::clone(&gate));
        let work = move |_: TaskContext| {
            let (begun, gate) = (begun.clone(), Arc::clone(&gate));
            async move {
                begun.send(who).unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(Outcome::Completed(None))
            }
        };
        let limit =
            |executor: &mut ExecutorDescriptor| executor.agent.limits.running.total = Some(1);
        does("limited", limit, work)
    };
    let leaving = Shutdown::new();
    let first = scene.start_until(leaving.clone(), vec![limited("first")]);
    scene.store.registered(1).await;
    scene.accept("limited").await;
    assert_eq!(order.recv().await, Some("first"));
    let second = scene.start(vec![limited("second")]);
    scene.store.registered(2).await;
    let waits = scene.accept("limited").await;
    leaving.drain();
    gate.add_permits(2);
    joined(first).await;
    assert_eq!(scene.ended(waits).await, TaskState::Completed);
    assert_eq!(order.recv().await, Some("second"));
    scene.end(second).await;
}
