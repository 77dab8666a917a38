//! Attempts: how many, how long, and what is known when they are used up.

use crate::scene::{Scene, does, obedient, stubborn};
use longhaul_domain::{EntryBody, FailureKind, Note, TaskState};
use longhaul_executor::prelude::*;
use longhaul_runtime::{Clock, SystemClock};
use longhaul_store::RunOptions;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

async fn failing(ctx: TaskContext) -> Result<Outcome, ExecutorError> {
    Err(ExecutorError::retryable(format!("no luck in attempt {}", ctx.attempt())))
}

#[tokio::test]
async fn a_failing_task_is_tried_as_often_as_the_policy_says_and_is_dead_then() {
    let scene = Scene::new().await;
    let worker = scene.start(vec![does("fails", |e| e.policy.max_attempts = 2, failing)]);
    let key = scene.accept("fails").await;
    let letter = scene.dead(key).await;
    assert_eq!((letter.because, letter.attempts), (FailureKind::AttemptsUsedUp, 2));
    assert_eq!(letter.cause, "no luck in attempt 2");
    let notes = scene.log(key).await.into_iter().filter_map(|entry| match entry {
        EntryBody::Note(Note::AttemptFailed { attempt, cause, .. }) => Some((attempt, cause)),
        _ => None,
    });
    assert_eq!(notes.collect::<Vec<_>>(), [(1, "no luck in attempt 1".to_owned())]);
    scene.end(worker).await;
}

#[tokio::test]
async fn a_message_can_ask_for_other_attempts_than_the_policy() {
    let scene = Scene::new().await;
    let seen: Arc<Mutex<Vec<(i32, i32)>>> = Arc::default();
    let record = Arc::clone(&seen);
    let failing = move |ctx: TaskContext| {
        record.lock().unwrap().push((ctx.attempt(), ctx.assignment().max_attempts));
        async { Err(ExecutorError::retryable("no luck")) }
    };
    let worker = scene.start(vec![does("fails", |_| {}, failing)]);
    let options = RunOptions::default();
    let key = scene.accept_with("fails", r#"{"maxAttempts": 1}"#, options.clone()).await;
    assert_eq!(scene.why(key).await, (FailureKind::AttemptsUsedUp, 1));
    let key = scene.accept_with("fails", r#"{"maxAttempts": 5}"#, options).await;
    assert_eq!(scene.why(key).await, (FailureKind::AttemptsUsedUp, 5));
    assert_eq!(*seen.lock().unwrap(), [(1, 1), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    scene.end(worker).await;
}

#[tokio::test]
async fn a_fatal_failure_is_not_tried_again() {
    let scene = Scene::new().await;
    let fatal = async |_: TaskContext| Err(ExecutorError::fatal("no such file"));
    let worker = scene.start(vec![does("fails", |_| {}, fatal)]);
    let key = scene.accept("fails").await;
    assert_eq!(scene.why(key).await, (FailureKind::Fatal, 1));
    scene.end(worker).await;
}

#[tokio::test]
async fn the_wait_that_an_executor_asks_for_is_kept_and_not_much_longer() {
    let scene = Scene::new().await;
    let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let record = Arc::clone(&begun);
    let failing = move |_: TaskContext| {
        record.lock().unwrap().push(Instant::now());
        async { Err(ExecutorError::retryable("busy").after(Duration::from_millis(300))) }
    };
    let slow = |executor: &mut ExecutorDescriptor| {
        executor.policy.max_attempts = 2;
        executor.policy.backoff.initial = Duration::from_secs(3600);
    };
    let worker = scene.start(vec![does("fails", slow, failing)]);
    let key = scene.accept("fails").await;
    assert_eq!(scene.why(key).await, (FailureKind::AttemptsUsedUp, 2));
    let begun = begun.lock().unwrap().clone();
    assert!(begun[1] - begun[0] >= Duration::from_millis(300));
    scene.end(worker).await;
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_a_failed_one_whether_or_not_it_stops() {
    let scene = Scene::new().await;
    let worker =
        scene.start(vec![does("obedient", |_| {}, obedient), does("stubborn", |_| {}, stubborn)]);
    let said = r#"{"maxAttempts": 2, "timeout": 0.05}"#;
    for agent in ["obedient", "stubborn"] {
        let key = scene.accept_with(agent, said, RunOptions::default()).await;
        let letter = scene.dead(key).await;
        assert_eq!((letter.because, letter.attempts), (FailureKind::AttemptTimeout, 2));
        assert!(letter.cause.contains("0.05 s (start-to-close)"), "{}", letter.cause);
    }
    scene.end(worker).await;
}

#[tokio::test]
async fn an_attempt_that_does_not_get_on_is_a_failed_one_and_one_that_does_is_not() {
    let scene = Scene::new().await;
    let works_on = async |ctx: TaskContext| {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            ctx.heartbeat();
        }
        Ok(Outcome::Completed(None))
    };
    let worker =
        scene.start(vec![does("stuck", |_| {}, obedient), does("works", |_| {}, works_on)]);
    let said = r#"{"maxAttempts": 1, "noProgressTimeout": 0.4}"#;
    let works = scene.accept_with("works", said, RunOptions::default()).await;
    let stuck = scene.accept_with("stuck", said, RunOptions::default()).await;
    let letter = scene.dead(stuck).await;
    assert_eq!((letter.because, letter.attempts), (FailureKind::NoProgress, 1));
    assert!(letter.cause.contains("0.4 s (no-progress)"), "{}", letter.cause);
    assert_eq!(scene.ended(works).await, TaskState::Completed);
    scene.end(worker).await;
}

#[tokio::test]
async fn a_task_that_runs_into_its_deadline_fails_for_good() {
    let scene = Scene::new().await;
    let worker =
        scene.start(vec![does("obedient", |_| {}, obedient), does("stubborn", |_| {}, stubborn)]);
    for agent in ["obedient", "stubborn"] {
        let deadline = Some(SystemClock.now() + Duration::from_millis(300));
        let options = RunOptions { deadline, ..RunOptions::default() };
        let key = scene.accept_with(agent, r#"{"maxAttempts": 9}"#, options).await;
        let letter = scene.dead(key).await;
        assert_eq!((letter.because, letter.attempts), (FailureKind::Deadline, 1), "{agent}");
        assert!(letter.cause.contains("the deadline of the task has passed"), "{}", letter.cause);
    }
    scene.end(worker).await;
}

#[tokio::test]
async fn what_a_step_has_stored_is_there_for_the_next_attempt() {
    let scene = Scene::new().await;
    let done: Arc<Mutex<Vec<(i32, bool)>>> = Arc::default();
    let record = Arc::clone(&done);
    let stepping = move |ctx: TaskContext| {
        let done = Arc::clone(&record);
        async move {
            let had = ctx.assignment().has_checkpoints;
            let made: i32 = ctx
                .step("once", |step| async move {
                    step.artifact(step.new_artifact(vec![Part::text("made")])).await?;
                    Ok(step.attempt())
                })
                .await?;
            done.lock().unwrap().push((made, had));
            assert!(ctx.attempt() == 3, "after the step");
            Ok(Outcome::Completed(None))
        }
    };
    let worker = scene.start(vec![does("steps", |_| {}, stepping)]);
    let key = scene.accept("steps").await;
    assert_eq!(scene.ended(key).await, TaskState::Completed);
    assert_eq!(*done.lock().unwrap(), [(1, false), (1, true), (1, true)]);
    assert_eq!(scene.task(key).await.artifacts.len(), 1);
    scene.end(worker).await;
}
