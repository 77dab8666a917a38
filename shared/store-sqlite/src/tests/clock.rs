//! Time is that of the process, and may be set back between two of them.

use super::{LOOK, asks, open};
use longhaul_domain::{Seq, TaskState};
use longhaul_runtime::{Clock, ManualClock};
use longhaul_store::{Accepted, Intake, Reading, RequestCancel, SnapshotOptions, Store, Work};
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
async fn forgotten_messages_leave_the_file() {
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
    store.reap(LOOK).await.unwrap();
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
