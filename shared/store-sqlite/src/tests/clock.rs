//! The process's clock may be set back, and between two processes too.

use super::{REAP, asks, claim, claim_all, open};
use chrono::TimeDelta;
use longhaul_domain::{Seq, TaskState};
use longhaul_runtime::{Clock, ManualClock};
use longhaul_store::{
    Accepted, Append, IntakeStore, ReadStore, RequestCancel, Settle, SettleAs, SnapshotOptions,
    Store, WorkerStore,
};
use std::{sync::Arc, time::Duration};

fn clock() -> Arc<ManualClock> {
    let clock = ManualClock::default();
    clock.advance(chrono::TimeDelta::days(20_000));
    Arc::new(clock)
}

#[tokio::test]
async fn a_message_is_recognised_for_a_day() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(folder.path(), clock.clone()).await;
    let first = asks("m", "hello");
    store.accept_new(first.clone()).await.unwrap();
    clock.advance(chrono::TimeDelta::hours(23));
    let outcome = store.accept_new(asks("m", "hello")).await.unwrap();
    assert_eq!(outcome, Accepted::Duplicate { task: first.key.task, seq: Seq(1) });
    clock.advance(chrono::TimeDelta::hours(2));
    let second = asks("m", "hello");
    let outcome = store.accept_new(second.clone()).await.unwrap();
    assert!(matches!(outcome, Accepted::Created { .. }), "{outcome:?}");
    let outcome = store.accept_new(asks("m", "hello")).await.unwrap();
    assert_eq!(outcome, Accepted::Duplicate { task: second.key.task, seq: Seq(1) });
}

#[tokio::test]
async fn expired_deduplication_keys_leave_the_file() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(folder.path(), clock.clone()).await;
    let count = || async {
        let sql = "SELECT count(*) FROM message_keys";
        let count =
            store.readers.read(|conn| Ok(conn.query_one(sql, (), |row| row.get::<_, i64>(0))?));
        count.await.unwrap()
    };
    store.accept_new(asks("old", "hello")).await.unwrap();
    clock.advance(chrono::TimeDelta::hours(25));
    store.accept_new(asks("new", "hello")).await.unwrap();
    assert_eq!(count().await, 2);
    store.reap(REAP).await.unwrap();
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn a_status_does_not_go_back_in_time_when_the_clock_does() {
    let (folder, later) = (tempfile::tempdir().unwrap(), clock());
    later.advance(chrono::TimeDelta::hours(1));
    let store = open(folder.path(), later.clone()).await;
    let asks = asks("m", "hello");
    store.accept_new(asks.clone()).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(folder.path(), clock()).await;
    let cancel = RequestCancel { key: asks.key, grace: Duration::ZERO };
    store.request_cancel(cancel).await.unwrap();
    let task = store.read_task(asks.key, SnapshotOptions::ALL).await.unwrap().unwrap();
    assert_eq!((task.status.state, task.status.at), (TaskState::Canceled, later.now()));
}

/// Creates a task that has failed once and retries in a second.
async fn waiting_for_a_retry(store: &crate::SqliteStore) {
    store.accept_new(asks("m", "hello")).await.unwrap();
    let run = claim(store).await;
    let output = Append {
        key: run.key,
        fence: run.fence,
        op: 1,
        attempt: 1,
        entries: Vec::new(),
        blobs: Vec::new(),
        checkpoints: Vec::new(),
    };
    let how = SettleAs::Retry(Duration::from_secs(1));
    store.settle(Settle { how, read_up_to: Seq(1), output }).await.unwrap();
}

#[tokio::test]
async fn a_retry_is_on_time_when_the_clock_is_set_back() {
    for back in [TimeDelta::seconds(90), TimeDelta::days(400)] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
        let store = open(folder.path(), clock.clone()).await;
        waiting_for_a_retry(&store).await;
        clock.advance(-back);
        assert!(store.reap(REAP).await.unwrap().done.is_empty(), "its second has not passed");
        clock.advance(TimeDelta::milliseconds(1_100));
        store.reap(REAP).await.unwrap();
        assert_eq!(claim(&store).await.attempt, 2, "{back}");
    }
}

#[tokio::test]
async fn a_clock_glitch_changes_no_deadline_or_delay() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(folder.path(), clock.clone()).await;
    let hour = Duration::from_secs(3_600);
    let start = clock.now();
    let mut later = asks("later", "hello");
    later.options.not_before = Some(start + hour);
    store.accept_new(later).await.unwrap();
    clock.advance(TimeDelta::days(400));
    let mut glitch = asks("glitch", "hello");
    glitch.options.delay = Duration::from_secs(1);
    store.accept_new(glitch.clone()).await.unwrap();
    clock.advance(TimeDelta::days(-400));
    store.reap(REAP).await.unwrap();

    // A task accepted while the clock was wrong waits its second; a new deadline is judged by the
    // corrected clock.
    let mut in_time = asks("in time", "hello");
    in_time.options.deadline = Some(clock.now() + hour);
    store.accept_new(in_time.clone()).await.unwrap();
    clock.advance(TimeDelta::milliseconds(1_100));
    store.reap(REAP).await.unwrap();
    let task = store.read_task(in_time.key, SnapshotOptions::ALL).await.unwrap().unwrap();
    assert_eq!(task.status.state, TaskState::Submitted);
    let mut claimed: Vec<_> = [claim(&store).await.key, claim(&store).await.key].into();
    claimed.sort_by_key(|key| key.task != glitch.key.task);
    assert_eq!(claimed, [glitch.key, in_time.key]);
    assert!(claim_all(&store).await.is_empty(), "the third waits for its hour");
}
