//! What was said to a task is read for its run alone, within bounds.

use crate::{
    scene::{Scene, does, quick},
    veil::Trouble,
};
use longhaul_domain::{FailureKind, HistoryItem, Seq, TaskState};
use longhaul_executor::prelude::*;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn a_history_that_cannot_be_read_counts_as_an_attempt_of_its_own_task_only() {
    let mut scene = Scene::new().await;
    scene.options.concurrency = 1;
    let broken = scene.accept("quick").await;
    scene.say(broken, "more").await;
    scene.store.trouble(broken, Some(Trouble::Corrupt));
    let behind = scene.accept("quick").await;
    scene.say(behind, "more").await;
    let worker = scene.start(vec![does("quick", |e| e.policy.max_attempts = 1, quick)]);
    let letter = scene.dead(broken).await;
    assert_eq!((letter.because, letter.attempts), (FailureKind::AttemptsUsedUp, 1));
    assert!(letter.cause.contains("could not be read"), "{}", letter.cause);
    assert_eq!(scene.ended(behind).await, TaskState::Completed);
    scene.end(worker).await;
}

#[tokio::test]
async fn a_history_that_is_slow_to_read_holds_up_its_own_run_only() {
    let scene = Scene::new().await;
    let slow = scene.accept("quick").await;
    scene.say(slow, "more").await;
    scene.store.trouble(slow, Some(Trouble::Endless));
    let worker = scene.start(vec![does("quick", |_| {}, quick)]);
    for _ in 0..5 {
        let other = scene.accept("quick").await;
        assert_eq!(scene.ended(other).await, TaskState::Completed);
        let other = scene.accept("quick").await;
        scene.say(other, "more").await;
        assert_eq!(scene.ended(other).await, TaskState::Completed);
    }
    assert_eq!(scene.state(slow).await, TaskState::Submitted);
    scene.store.trouble(slow, None);
    assert_eq!(scene.ended(slow).await, TaskState::Completed);
    scene.end(worker).await;
}

#[tokio::test]
async fn a_cancel_does_not_wait_for_a_history_that_is_slow_to_read() {
    let scene = Scene::new().await;
    let slow = scene.accept("quick").await;
    scene.say(slow, "more").await;
    scene.store.trouble(slow, Some(Trouble::Endless));
    let worker = scene.start(vec![does("quick", |_| {}, quick)]);
    // Another task that ends shows that this one has been claimed before.
    let other = scene.accept("quick").await;
    assert_eq!(scene.ended(other).await, TaskState::Completed);
    scene.cancel(slow, std::time::Duration::from_secs(60)).await;
    assert_eq!(scene.ended(slow).await, TaskState::Canceled);
    scene.end(worker).await;
}

#[tokio::test]
async fn a_run_begins_with_the_newest_mebibyte_and_pages_through_the_rest() {
    let scene = Scene::new().await;
    let seen: Arc<Mutex<(Vec<HistoryItem>, Vec<HistoryItem>)>> = Arc::default();
    let record = Arc::clone(&seen);
    let reads = move |ctx: TaskContext| {
        let record = Arc::clone(&record);
        async move {
            let newest = ctx.history().to_vec();
            let mut whole = newest.clone();
            let mut before = ctx.earlier_before();
            while let Some(place) = before {
                let page = ctx.earlier_messages(place).await?;
                before = page.first().map(|item| item.seq);
                whole.splice(0..0, page);
            }
            *record.lock().unwrap() = (newest, whole);
            Ok(ctx.completed(ctx.message().text()))
        }
    };
    let key = scene.accept("reads").await;
    for n in 0..30 {
        scene.say(key, &format!("{n:050000}")).await;
    }
    let worker = scene.start(vec![does("reads", |_| {}, reads)]);
    assert_eq!(scene.ended(key).await, TaskState::Completed);
    let (newest, whole) = std::mem::take(&mut *seen.lock().unwrap());
    let bytes: usize = newest.iter().map(|item| item.message.text().len()).sum();
    assert!((900_000..=1 << 20).contains(&bytes), "{bytes}");
    assert_eq!(newest.last().map(|item| item.seq), Some(Seq(31)));
    let places: Vec<i64> = whole.iter().map(|item| item.seq.0).collect();
    assert_eq!(places, (1..=31).collect::<Vec<i64>>());
    let said = scene.task(key).await.status.message.unwrap().text();
    assert_eq!(said, format!("{:050000}", 29), "the last message is what the turn is about");
    scene.end(worker).await;
}
