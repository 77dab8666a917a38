//! Drain and shutdown of a worker.

use crate::fixture::{TEST_TIMEOUT, WorkerFixture, executor, join, obedient, stubborn};
use longhaul_domain::{TaskKey, TaskState};
use longhaul_executor::prelude::*;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Asserts that a task is queued as if it had never been claimed.
async fn assert_released(fixture: &WorkerFixture, key: TaskKey) {
    let details = fixture.store.inner.run_details(vec![key]).await.unwrap().remove(&key).unwrap();
    assert_eq!(details.attempt, 1, "no attempt was used");
    assert!(!details.queue.expect("it is in the queue").running, "no worker holds it");
}

#[tokio::test]
async fn a_backlog_does_not_delay_a_drain() {
    let fixture = WorkerFixture::new().await;
    let mut keys = Vec::new();
    for _ in 0..300 {
        keys.push(fixture.accept("quick").await);
    }
    let shutdown = fixture.shutdown.clone();
    let drains = move |_: TaskContext| {
        // Called within the first run: all tasks after it are the backlog.
        shutdown.drain();
        async { Ok(Outcome::Completed(None)) }
    };
    join(fixture.start(vec![executor("quick", |_| {}, drains)])).await;
    let mut waiting = 0;
    for key in keys {
        waiting += u32::from(!fixture.state(key).await.is_terminal());
    }
    assert!(waiting > 0, "the backlog was empty before the drain");
}

#[tokio::test]
async fn a_run_that_ends_during_the_drain_is_settled() {
    let fixture = WorkerFixture::new().await;
    let go_on = Arc::new(Notify::new());
    let wait = Arc::clone(&go_on);
    let waits = move |_: TaskContext| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Ok(Outcome::Completed(None))
        }
    };
    let worker = fixture.start(vec![executor("waits", |_| {}, waits)]);
    let key = fixture.accept("waits").await;
    fixture.wait_for_state(key, TaskState::Working).await;
    fixture.shutdown.drain();
    go_on.notify_one();
    join(worker).await;
    assert_eq!(fixture.state(key).await, TaskState::Completed);
}

#[tokio::test]
async fn a_run_that_outlasts_the_drain_is_released_without_using_an_attempt() {
    for (agent, executor) in [
        ("obedient", executor("obedient", |_| {}, obedient)),
        ("stubborn", executor("stubborn", |_| {}, stubborn)),
    ] {
        let mut fixture = WorkerFixture::new().await;
        fixture.options.drain = Duration::from_millis(50);
        let worker = fixture.start(vec![executor]);
        let key = fixture.accept(agent).await;
        fixture.wait_for_state(key, TaskState::Working).await;
        fixture.drain(worker).await;
        assert_released(&fixture, key).await;
    }
}

#[tokio::test]
async fn a_second_signal_releases_all_runs_at_once() {
    let mut fixture = WorkerFixture::new().await;
    fixture.options.drain = Duration::from_secs(600);
    fixture.options.grace = Duration::from_secs(600);
    let worker = fixture.start(vec![executor("stubborn", |_| {}, stubborn)]);
    let key = fixture.accept("stubborn").await;
    fixture.wait_for_state(key, TaskState::Working).await;
    fixture.shutdown.drain();
    fixture.shutdown.stop();
    join(worker).await;
    assert_released(&fixture, key).await;
}

#[tokio::test]
async fn an_unavailable_store_does_not_delay_the_end() {
    let mut fixture = WorkerFixture::new().await;
    fixture.options.drain = Duration::from_millis(50);
    let worker = fixture.start(vec![executor("obedient", |_| {}, obedient)]);
    let key = fixture.accept("obedient").await;
    fixture.wait_for_state(key, TaskState::Working).await;
    fixture.store.disconnect();
    let begin = Instant::now();
    fixture.drain(worker).await;
    assert!(begin.elapsed() < TEST_TIMEOUT / 2, "{:?}", begin.elapsed());
    assert_eq!(fixture.state(key).await, TaskState::Working, "the store could not be told");
}

#[tokio::test]
async fn a_worker_that_cannot_register_can_be_stopped() {
    let fixture = WorkerFixture::new().await;
    fixture.store.disconnect();
    let worker = fixture.start(vec![executor("obedient", |_| {}, obedient)]);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_task_context_that_outlives_its_run_is_closed() {
    let fixture = WorkerFixture::new().await;
    let left: Arc<Mutex<Option<TaskContext>>> = Arc::default();
    let keep = Arc::clone(&left);
    let leaves = move |ctx: TaskContext| {
        *keep.lock().unwrap() = Some(ctx);
        async { Ok(Outcome::Completed(None)) }
    };
    let key = fixture.accept("leaves").await;
    let worker = fixture.start(vec![executor("leaves", |_| {}, leaves)]);
    fixture.wait_for_end(key).await;
    fixture.drain(worker).await;
    let ctx = left.lock().unwrap().take().unwrap();
    assert!(ctx.flush().await.is_err());
    assert!(ctx.next_message().await.is_err());
}
