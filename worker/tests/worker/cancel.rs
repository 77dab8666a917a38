//! A cancel reaches the executor, and ends the task whatever it does.

use crate::scene::{Scene, does, obedient, stubborn};
use longhaul_domain::TaskState;
use longhaul_executor::prelude::*;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_running_task_that_is_canceled_stops_whether_or_not_it_listens() {
    let scene = Scene::new().await;
    let worker =
        scene.start(vec![does("obedient", |_| {}, obedient), does("stubborn", |_| {}, stubborn)]);
    for agent in ["obedient", "stubborn"] {
        let key = scene.accept(agent).await;
        scene.reached(key, TaskState::Working).await;
        scene.cancel(key, GRACE).await;
        assert_eq!(scene.ended(key).await, TaskState::Canceled, "{agent}");
    }
    scene.end(worker).await;
}

#[tokio::test]
async fn one_that_waits_for_its_next_attempt_is_canceled_at_once() {
    let scene = Scene::new().await;
    let later = async |_: TaskContext| {
        Err(ExecutorError::retryable("busy").after(Duration::from_secs(3600)))
    };
    let worker = scene.start(vec![does("later", |_| {}, later)]);
    let key = scene.accept("later").await;
    scene.reached(key, TaskState::Working).await;
    // It is working until its attempt has failed, and waiting afterwards; a cancel ends it in either case.
    scene.cancel(key, GRACE).await;
    assert_eq!(scene.ended(key).await, TaskState::Canceled);
    scene.end(worker).await;
}

#[tokio::test]
async fn one_that_completes_in_spite_of_it_is_completed() {
    let scene = Scene::new().await;
    let finishes = async |ctx: TaskContext| {
        ctx.cancelled().await;
        Ok(Outcome::Completed(None))
    };
    let worker = scene.start(vec![does("finishes", |_| {}, finishes)]);
    let key = scene.accept("finishes").await;
    scene.reached(key, TaskState::Working).await;
    scene.cancel(key, GRACE).await;
    assert_eq!(scene.ended(key).await, TaskState::Completed);
    scene.end(worker).await;
}
