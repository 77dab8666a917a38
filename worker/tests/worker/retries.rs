//! Attempts: their number, limits and retry delays, and the dead letter after the last one.

use crate::fixture::{WorkerFixture, executor, obedient, stubborn};
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
async fn a_failing_task_uses_all_attempts_of_its_policy_and_becomes_a_dead_letter() {
    let fixture = WorkerFixture::new().await;
    let worker = fixture.start(vec![executor("fails", |e| e.policy.max_attempts = 2, failing)]);
    let key = fixture.accept("fails").await;
    let dead_letter = fixture.dead_letter(key).await;
    assert_eq!((dead_letter.because, dead_letter.attempts), (FailureKind::AttemptsUsedUp, 2));
    assert_eq!(dead_letter.cause, "no luck in attempt 2");
    let notes = fixture.log(key).await.into_iter().filter_map(|entry| match entry {
        EntryBody::Note(Note::AttemptFailed { attempt, cause, .. }) => Some((attempt, cause)),
        _ => None,
    });
    assert_eq!(notes.collect::<Vec<_>>(), [(1, "no luck in attempt 1".to_owned())]);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_message_can_override_the_number_of_attempts() {
    let fixture = WorkerFixture::new().await;
    let seen: Arc<Mutex<Vec<(i32, i32)>>> = Arc::default();
    let record = Arc::clone(&seen);
    let failing = move |ctx: TaskContext| {
        record.lock().unwrap().push((ctx.attempt(), ctx.assignment().max_attempts));
        async { Err(ExecutorError::retryable("no luck")) }
    };
    let worker = fixture.start(vec![executor("fails", |_| {}, failing)]);
    let options = RunOptions::default();
    let key = fixture.accept_with("fails", r#"{"maxAttempts": 1}"#, options.clone()).await;
    assert_eq!(fixture.failure(key).await, (FailureKind::AttemptsUsedUp, 1));
    let key = fixture.accept_with("fails", r#"{"maxAttempts": 5}"#, options).await;
    assert_eq!(fixture.failure(key).await, (FailureKind::AttemptsUsedUp, 5));
    assert_eq!(*seen.lock().unwrap(), [(1, 1), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_fatal_failure_is_not_retried() {
    let fixture = WorkerFixture::new().await;
    let fatal = async |_: TaskContext| Err(ExecutorError::fatal("no such file"));
    let worker = fixture.start(vec![executor("fails", |_| {}, fatal)]);
    let key = fixture.accept("fails").await;
    assert_eq!(fixture.failure(key).await, (FailureKind::Fatal, 1));
    fixture.drain(worker).await;
}

#[tokio::test]
async fn the_retry_delay_of_an_executor_replaces_the_backoff() {
    let fixture = WorkerFixture::new().await;
    let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let record = Arc::clone(&begun);
    let failing = move |_: TaskContext| {
        record.lock().unwrap().push(Instant::now());
        async { Err(ExecutorError::retryable("busy").retry_after(Duration::from_millis(300))) }
    };
    let slow = |executor: &mut ExecutorDescriptor| {
        executor.policy.max_attempts = 2;
        executor.policy.backoff.initial = Duration::from_secs(3600);
    };
    let worker = fixture.start(vec![executor("fails", slow, failing)]);
    let key = fixture.accept("fails").await;
    assert_eq!(fixture.failure(key).await, (FailureKind::AttemptsUsedUp, 2));
    let begun = begun.lock().unwrap().clone();
    assert!(begun[1] - begun[0] >= Duration::from_millis(300));
    fixture.drain(worker).await;
}

#[tokio::test]
async fn an_attempt_that_times_out_has_failed_even_when_its_executor_does_not_stop() {
    let fixture = WorkerFixture::new().await;
    let worker = fixture.start(vec![
        executor("obedient", |_| {}, obedient),
        executor("stubborn", |_| {}, stubborn),
    ]);
    let options = r#"{"maxAttempts": 2, "timeout": 0.05}"#;
    for agent in ["obedient", "stubborn"] {
        let key = fixture.accept_with(agent, options, RunOptions::default()).await;
        let dead_letter = fixture.dead_letter(key).await;
        assert_eq!((dead_letter.because, dead_letter.attempts), (FailureKind::AttemptTimeout, 2));
        assert!(dead_letter.cause.contains("0.05 s (start-to-close)"), "{}", dead_letter.cause);
    }
    fixture.drain(worker).await;
}

#[tokio::test]
async fn an_attempt_without_progress_fails_and_one_with_heartbeats_does_not() {
    let fixture = WorkerFixture::new().await;
    let works = async |ctx: TaskContext| {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            ctx.heartbeat();
        }
        Ok(Outcome::Completed(None))
    };
    let worker =
        fixture.start(vec![executor("stuck", |_| {}, obedient), executor("works", |_| {}, works)]);
    let options = r#"{"maxAttempts": 1, "noProgressTimeout": 0.4}"#;
    let works = fixture.accept_with("works", options, RunOptions::default()).await;
    let stuck = fixture.accept_with("stuck", options, RunOptions::default()).await;
    let dead_letter = fixture.dead_letter(stuck).await;
    assert_eq!((dead_letter.because, dead_letter.attempts), (FailureKind::NoProgress, 1));
    assert!(dead_letter.cause.contains("0.4 s (no-progress)"), "{}", dead_letter.cause);
    assert_eq!(fixture.wait_for_end(works).await, TaskState::Completed);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_task_past_its_deadline_fails_without_a_retry() {
    let fixture = WorkerFixture::new().await;
    let worker = fixture.start(vec![
        executor("obedient", |_| {}, obedient),
        executor("stubborn", |_| {}, stubborn),
    ]);
    for agent in ["obedient", "stubborn"] {
        let deadline = Some(SystemClock.now() + Duration::from_millis(300));
        let options = RunOptions { deadline, ..RunOptions::default() };
        let key = fixture.accept_with(agent, r#"{"maxAttempts": 9}"#, options).await;
        let dead_letter = fixture.dead_letter(key).await;
        assert_eq!(
            (dead_letter.because, dead_letter.attempts),
            (FailureKind::Deadline, 1),
            "{agent}"
        );
        assert!(
            dead_letter.cause.contains("the deadline of the task has passed"),
            "{}",
            dead_letter.cause
        );
    }
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_completed_step_is_not_repeated_in_the_next_attempt() {
    let fixture = WorkerFixture::new().await;
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
    let worker = fixture.start(vec![executor("steps", |_| {}, stepping)]);
    let key = fixture.accept("steps").await;
    assert_eq!(fixture.wait_for_end(key).await, TaskState::Completed);
    assert_eq!(*done.lock().unwrap(), [(1, false), (1, true), (1, true)]);
    assert_eq!(fixture.task(key).await.artifacts.len(), 1);
    fixture.drain(worker).await;
}
