//! The end of a worker.

use crate::scene::{LIMIT, Scene, does, joined, obedient, stubborn};
use longhaul_domain::{TaskKey, TaskState};
use longhaul_executor::prelude::*;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Whether a task waits for a worker as if it had never been claimed.
async fn given_back(scene: &Scene, key: TaskKey) {
    let facts = scene.store.inner.run_details(vec![key]).await.unwrap().remove(&key).unwrap();
    assert_eq!(facts.attempt, 1, "no attempt was burnt");
    assert!(!facts.queue.expect("it is in the queue").running, "nobody holds it");
}

#[tokio::test]
async fn a_drain_begins_although_there_is_a_backlog() {
    let scene = Scene::new().await;
    let mut keys = Vec::new();
    for _ in 0..300 {
        keys.push(scene.accept("quick").await);
    }
    let shutdown = scene.shutdown.clone();
    let drains = move |_: TaskContext| {
        // From within the first run: whatever follows it is backlog.
        shutdown.drain();
        async { Ok(Outcome::Completed(None)) }
    };
    joined(scene.start(vec![does("quick", |_| {}, drains)])).await;
    let mut waiting = 0;
    for key in keys {
        waiting += u32::from(!scene.state(key).await.is_terminal());
    }
    assert!(waiting > 0, "everything was worked off before the drain");
}

#[tokio::test]
async fn a_run_that_ends_during_the_drain_has_ended() {
    let scene = Scene::new().await;
    let go_on = Arc::new(Notify::new());
    let wait = Arc::clone(&go_on);
    let waits = move |_: TaskContext| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Ok(Outcome::Completed(None))
        }
    };
    let worker = scene.start(vec![does("waits", |_| {}, waits)]);
    let key = scene.accept("waits").await;
    scene.reached(key, TaskState::Working).await;
    scene.shutdown.drain();
    go_on.notify_one();
    joined(worker).await;
    assert_eq!(scene.state(key).await, TaskState::Completed);
}

#[tokio::test]
async fn what_still_runs_after_the_drain_is_given_back_without_burning_an_attempt() {
    for (agent, executor) in [
        ("obedient", does("obedient", |_| {}, obedient)),
        ("stubborn", does("stubborn", |_| {}, stubborn)),
    ] {
        let mut scene = Scene::new().await;
        scene.options.drain = Duration::from_millis(50);
        let worker = scene.start(vec![executor]);
        let key = scene.accept(agent).await;
        scene.reached(key, TaskState::Working).await;
        scene.end(worker).await;
        given_back(&scene, key).await;
    }
}

#[tokio::test]
async fn a_second_signal_gives_everything_back_at_once() {
    let mut scene = Scene::new().await;
    scene.options.drain = Duration::from_secs(600);
    scene.options.grace = Duration::from_secs(600);
    let worker = scene.start(vec![does("stubborn", |_| {}, stubborn)]);
    let key = scene.accept("stubborn").await;
    scene.reached(key, TaskState::Working).await;
    scene.shutdown.drain();
    scene.shutdown.stop();
    joined(worker).await;
    given_back(&scene, key).await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_holds_up_no_end() {
    let mut scene = Scene::new().await;
    scene.options.drain = Duration::from_millis(50);
    let worker = scene.start(vec![does("obedient", |_| {}, obedient)]);
    let key = scene.accept("obedient").await;
    scene.reached(key, TaskState::Working).await;
    scene.store.go_down();
    let begin = Instant::now();
    scene.end(worker).await;
    assert!(begin.elapsed() < LIMIT / 2, "{:?}", begin.elapsed());
    assert_eq!(scene.state(key).await, TaskState::Working, "nobody could be told");
}

#[tokio::test]
async fn a_worker_that_cannot_register_can_be_stopped() {
    let scene = Scene::new().await;
    scene.store.go_down();
    let worker = scene.start(vec![does("obedient", |_| {}, obedient)]);
    scene.end(worker).await;
}

#[tokio::test]
async fn what_an_executor_leaves_behind_is_told_that_the_run_is_over() {
    let scene = Scene::new().await;
    let left: Arc<Mutex<Option<TaskContext>>> = Arc::default();
    let keep = Arc::clone(&left);
    let leaves = move |ctx: TaskContext| {
        *keep.lock().unwrap() = Some(ctx);
        async { Ok(Outcome::Completed(None)) }
    };
    let key = scene.accept("leaves").await;
    let worker = scene.start(vec![does("leaves", |_| {}, leaves)]);
    scene.ended(key).await;
    scene.end(worker).await;
    let ctx = left.lock().unwrap().take().unwrap();
    assert!(ctx.flush().await.is_err());
    assert!(ctx.next_message().await.is_err());
}
