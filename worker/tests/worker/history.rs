//! Reads of a task's history before its run.

use crate::{
    fixture::{WorkerFixture, executor, quick},
    partitioned_store::HistoryFault,
};
use longhaul_domain::{FailureKind, HistoryItem, Seq, TaskState};
use longhaul_executor::prelude::*;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn an_unreadable_history_fails_the_attempt_of_its_own_task_only() {
    let mut fixture = WorkerFixture::new().await;
    fixture.options.concurrency = 1;
    let broken = fixture.accept("quick").await;
    fixture.send_message(broken, "more").await;
    fixture.store.set_history_fault(broken, Some(HistoryFault::Corrupt));
    let behind = fixture.accept("quick").await;
    fixture.send_message(behind, "more").await;
    let worker = fixture.start(vec![executor("quick", |e| e.policy.max_attempts = 1, quick)]);
    let dead_letter = fixture.dead_letter(broken).await;
    assert_eq!((dead_letter.because, dead_letter.attempts), (FailureKind::AttemptsUsedUp, 1));
    assert!(dead_letter.cause.contains("could not be read"), "{}", dead_letter.cause);
    assert_eq!(fixture.wait_for_end(behind).await, TaskState::Completed);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_slow_history_delays_its_own_run_only() {
    let fixture = WorkerFixture::new().await;
    let slow = fixture.accept("quick").await;
    fixture.send_message(slow, "more").await;
    fixture.store.set_history_fault(slow, Some(HistoryFault::Hangs));
    let worker = fixture.start(vec![executor("quick", |_| {}, quick)]);
    for _ in 0..5 {
        let other = fixture.accept("quick").await;
        assert_eq!(fixture.wait_for_end(other).await, TaskState::Completed);
        let other = fixture.accept("quick").await;
        fixture.send_message(other, "more").await;
        assert_eq!(fixture.wait_for_end(other).await, TaskState::Completed);
    }
    assert_eq!(fixture.state(slow).await, TaskState::Submitted);
    fixture.store.set_history_fault(slow, None);
    assert_eq!(fixture.wait_for_end(slow).await, TaskState::Completed);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_cancel_does_not_wait_for_a_slow_history() {
    let fixture = WorkerFixture::new().await;
    let slow = fixture.accept("quick").await;
    fixture.send_message(slow, "more").await;
    fixture.store.set_history_fault(slow, Some(HistoryFault::Hangs));
    let worker = fixture.start(vec![executor("quick", |_| {}, quick)]);
    // The slow task was claimed before another one that has ended.
    let other = fixture.accept("quick").await;
    assert_eq!(fixture.wait_for_end(other).await, TaskState::Completed);
    fixture.cancel(slow, std::time::Duration::from_secs(60)).await;
    assert_eq!(fixture.wait_for_end(slow).await, TaskState::Canceled);
    fixture.drain(worker).await;
}

#[tokio::test]
async fn a_run_begins_with_the_newest_mebibyte_and_can_page_through_the_rest() {
    let fixture = WorkerFixture::new().await;
    let seen: Arc<Mutex<(Vec<HistoryItem>, Vec<HistoryItem>)>> = Arc::default();
    let record = Arc::clone(&seen);
    let reads = move |ctx: TaskContext| {
        let record = Arc::clone(&record);
        async move {
            let newest = ctx.history().to_vec();
            let mut all = newest.clone();
            let mut before = ctx.earlier_before();
            while let Some(seq) = before {
                let page = ctx.earlier_messages(seq).await?;
                before = page.first().map(|item| item.seq);
                all.splice(0..0, page);
            }
            *record.lock().unwrap() = (newest, all);
            Ok(ctx.completed(ctx.message().text()))
        }
    };
    let key = fixture.accept("reads").await;
    for n in 0..30 {
        fixture.send_message(key, &format!("{n:050000}")).await;
    }
    let worker = fixture.start(vec![executor("reads", |_| {}, reads)]);
    assert_eq!(fixture.wait_for_end(key).await, TaskState::Completed);
    let (newest, all) = std::mem::take(&mut *seen.lock().unwrap());
    let bytes: usize = newest.iter().map(|item| item.message.text().len()).sum();
    assert!((900_000..=1 << 20).contains(&bytes), "{bytes}");
    assert_eq!(newest.last().map(|item| item.seq), Some(Seq(31)));
    let seqs: Vec<i64> = all.iter().map(|item| item.seq.0).collect();
    assert_eq!(seqs, (1..=31).collect::<Vec<i64>>());
    let answer = fixture.task(key).await.status.message.unwrap().text();
    assert_eq!(answer, format!("{:050000}", 29), "the turn is about the last message");
    fixture.drain(worker).await;
}
