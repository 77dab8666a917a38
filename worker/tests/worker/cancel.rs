//! Cancels of tasks on a worker.

use crate::fixture::{WorkerFixture, executor, obedient, stubborn};
use longhaul_domain::TaskState;
use longhaul_executor::prelude::*;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_canceled_task_ends_canceled_even_when_its_executor_ignores_it() {
    let fixture = WorkerFixture::new().await;
    let worker = fixture.start(vec![
        executor("obedient", |_| {}, obedient),
        executor("stubborn", |_| {}, stubborn),
    ]);
    for agent in ["obedient", "stubborn"] {
        let key = fixture.accept(agent).await;
        fixture.wait_for_state(key, TaskState::Working).await;
        fixture.cancel(key, GRACE).await;
        assert_eq!(fixture.wait_for_end(key).await, TaskState::Canceled, "{agent}");
    }
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_task_that_waits_for_its_next_attempt_is_canceled_at_once() {
    let fixture = WorkerFixture::new().await;
    let later = async |_: TaskContext| {
        Err(ExecutorError::retryable("busy").retry_after(Duration::from_secs(3600)))
    };
    let worker = fixture.start(vec![executor("later", |_| {}, later)]);
    let key = fixture.accept("later").await;
    fixture.wait_for_state(key, TaskState::Working).await;
    // The attempt may still be running or have failed already: a cancel ends the task either way.
    fixture.cancel(key, GRACE).await;
    assert_eq!(fixture.wait_for_end(key).await, TaskState::Canceled);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_task_that_completes_despite_a_cancel_is_completed() {
    let fixture = WorkerFixture::new().await;
    let finishes = async |ctx: TaskContext| {
        ctx.cancelled().await;
        Ok(Outcome::Completed(None))
    };
    let worker = fixture.start(vec![executor("finishes", |_| {}, finishes)]);
    let key = fixture.accept("finishes").await;
    fixture.wait_for_state(key, TaskState::Working).await;
    fixture.cancel(key, GRACE).await;
    assert_eq!(fixture.wait_for_end(key).await, TaskState::Completed);
    fixture.drain(worker).await;
}
