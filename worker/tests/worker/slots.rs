//! Distribution of runs: slots of a worker, limits of an agent, wake-ups.

use crate::fixture::{TEST_TIMEOUT, WorkerFixture, executor, join, quick};
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
async fn a_full_agent_continues_when_one_of_its_slots_is_freed() {
    let fixture = WorkerFixture::new().await;
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(fixture.accept("narrow").await);
    }
    let worker = fixture.start(vec![
        executor("narrow", |executor| executor.concurrency = Some(1), quick),
        executor("wide", |_| {}, quick),
    ]);
    for key in keys {
        assert_eq!(fixture.wait_for_end(key).await, TaskState::Completed);
    }
    fixture.drain(worker).await;
}

#[tokio::test]
async fn an_agent_with_a_limit_across_workers_continues_when_one_of_its_runs_ends() {
    let fixture = WorkerFixture::new().await;
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
    let worker = fixture.start(vec![executor("limited", limit, counted)]);
    fixture.store.wait_registered(1).await;
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(fixture.accept("limited").await);
    }
    for key in keys {
        assert_eq!(fixture.wait_for_end(key).await, TaskState::Completed);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    fixture.drain(worker).await;
}

/// An executor that reports who has started, and completes once the gate lets it.
fn gated(
    name: &str,
    concurrency: u32,
    started: mpsc::UnboundedSender<&'static str>,
    who: &'static str,
    gate: Arc<Semaphore>,
) -> Arc<dyn Executor> {
    let execute = move |_: TaskContext| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(who).unwrap();
            gate.acquire().await.unwrap().forget();
            Ok(Outcome::Completed(None))
        }
    };
    executor(name, |executor| executor.concurrency = Some(concurrency), execute)
}

#[tokio::test]
async fn a_wake_up_for_a_full_agent_is_left_to_other_workers() {
    let fixture = WorkerFixture::new().await;
    let (started, mut order) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let narrow = |who| gated("narrow", 1, started.clone(), who, Arc::clone(&gate));
    let first = fixture.start(vec![narrow("first"), executor("wide", |_| {}, quick)]);
    fixture.store.wait_registered(1).await;
    let one = fixture.accept("narrow").await;
    assert_eq!(order.recv().await, Some("first"));
    let second = fixture.start(vec![narrow("second")]);
    fixture.store.wait_registered(2).await;
    // The second worker finds nothing and waits: from here on only a wake-up makes it claim.
    let other = fixture.accept("wide").await;
    assert_eq!(fixture.wait_for_end(other).await, TaskState::Completed);
    let two = fixture.accept("narrow").await;
    let woken =
        tokio::time::timeout(TEST_TIMEOUT, order.recv()).await.expect("the second worker is woken");
    assert_eq!(woken, Some("second"));
    gate.add_permits(2);
    assert_eq!(fixture.wait_for_end(one).await, TaskState::Completed);
    assert_eq!(fixture.wait_for_end(two).await, TaskState::Completed);
    fixture.shutdown.drain();
    join(first).await;
    join(second).await;
}

#[tokio::test]
async fn a_draining_worker_wakes_others_when_its_runs_free_a_limit() {
    let fixture = WorkerFixture::new().await;
    let (started, mut order) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let limited = |who| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        let execute = move |_: TaskContext| {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            async move {
                started.send(who).unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(Outcome::Completed(None))
            }
        };
        let limit =
            |executor: &mut ExecutorDescriptor| executor.agent.limits.running.total = Some(1);
        executor("limited", limit, execute)
    };
    let first_shutdown = Shutdown::new();
    let first = fixture.start_until(first_shutdown.clone(), vec![limited("first")]);
    fixture.store.wait_registered(1).await;
    fixture.accept("limited").await;
    assert_eq!(order.recv().await, Some("first"));
    let second = fixture.start(vec![limited("second")]);
    fixture.store.wait_registered(2).await;
    let waits = fixture.accept("limited").await;
    first_shutdown.drain();
    gate.add_permits(2);
    join(first).await;
    assert_eq!(fixture.wait_for_end(waits).await, TaskState::Completed);
    assert_eq!(order.recv().await, Some("second"));
    fixture.drain(second).await;
}
