//! Defects and damage affect only the task that they concern.

use super::{REAP, asks, claim, claim_all, open};
use crate::{SqliteStore, writer::Tx};
use longhaul_domain::TaskState;
use longhaul_runtime::{Clock, ManualClock, SystemClock};
use longhaul_store::{
    Accepted, IntakeStore, ReadStore, Reaped, SnapshotOptions, Store, StoreError, WorkerStore,
};
use std::{path::Path, sync::Arc, time::Duration};

#[tokio::test]
async fn a_panicking_write_is_answered_and_its_batch_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let defect = |tx: &mut Tx<'_>| -> crate::error::DbResult<()> {
        tx.conn
            .execute("INSERT INTO owners (owner_id, name, created_at) VALUES (7, 'x', 0)", [])?;
        panic!("a defect");
    };
    let (failed, accepted) =
        tokio::join!(store.writer.write(0, defect), store.accept_new(asks("m", "hello")));
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    assert!(matches!(accepted, Ok(Accepted::Created { .. })), "{accepted:?}");
    let count = |tx: &mut Tx<'_>| {
        let sql = "SELECT count(*) FROM owners WHERE owner_id = 7";
        Ok(tx.conn.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(store.writer.write(0, count).await.unwrap(), 0, "nothing of it is left");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_leaves_no_trace_and_its_batch_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let add = |tx: &mut Tx<'_>, owner: i32| {
        let sql = "INSERT INTO owners (owner_id, name, created_at) VALUES (?1, ?1, 0)";
        Ok(tx.conn.execute(sql, [owner])?)
    };
    let refused = move |tx: &mut Tx<'_>| -> crate::error::DbResult<()> {
        add(tx, 8)?;
        Err(StoreError::Refused("no".to_owned()).into())
    };
    let writes = super::background::busy(&store).await;
    // All three wait when the writer becomes free, so they form one batch.
    let (before, failed, after, ()) = tokio::join!(
        store.writer.write(0, move |tx| add(tx, 7)),
        store.writer.write(0, refused),
        store.writer.write(0, move |tx| add(tx, 9)),
        async { drop(writes) },
    );
    assert_eq!((before.unwrap(), after.unwrap()), (1, 1));
    assert!(matches!(failed, Err(StoreError::Refused(_))), "{failed:?}");
    let there = |tx: &mut Tx<'_>| {
        let sql = "SELECT group_concat(owner_id) FROM owners WHERE owner_id > 1";
        Ok(tx.conn.query_row(sql, [], |row| row.get::<_, String>(0))?)
    };
    assert_eq!(store.writer.write(0, there).await.unwrap(), "7,9");
    store.close().await;
}

#[tokio::test]
async fn a_corrupt_task_does_not_block_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let (bad, good) = (asks("bad", "hello"), asks("good", "hello"));
    store.accept_new(bad.clone()).await.unwrap();
    store.accept_new(good.clone()).await.unwrap();
    damage(&store, "UPDATE log SET body = '{}' WHERE task = ?1", bad.key.task.to_string()).await;
    assert_eq!(claim(&store).await.key, good.key, "the other one is put off");
    assert!(claim_all(&store).await.is_empty());
}

/// Opens a store whose clock starts in 1970 and moves only on demand.
async fn at_rest(folder: &Path) -> (Arc<SqliteStore>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    clock.advance(chrono::TimeDelta::days(1));
    (open(folder, Arc::clone(&clock) as Arc<dyn Clock>).await, clock)
}

async fn damage(store: &SqliteStore, sql: &'static str, task: String) {
    let damage = move |tx: &mut Tx<'_>| Ok(tx.conn.execute(sql, [&task])?);
    assert_eq!(store.writer.write(0, damage).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reaper_processes_due_tasks_beside_a_corrupt_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = at_rest(folder.path()).await;
    let (mut bad, mut good) = (asks("bad", "hello"), asks("good", "hello"));
    bad.options.queue_timeout = Some(Duration::from_secs(1));
    good.options.queue_timeout = Some(Duration::from_secs(2));
    store.accept_new(bad.clone()).await.unwrap();
    store.accept_new(good.clone()).await.unwrap();
    let sql = "UPDATE tasks SET context_id = '' WHERE task = ?1";
    damage(&store, sql, bad.key.task.to_string()).await;
    clock.advance(chrono::TimeDelta::seconds(2));
    let done = store.reap(REAP).await.unwrap().done;
    assert!(matches!(done[..], [Reaped::Failed { key, .. }] if key == good.key), "{done:?}");
    let task = store.read_task(good.key, SnapshotOptions::STATUS).await.unwrap().unwrap();
    assert_eq!(task.status.state, TaskState::Failed);
}

#[tokio::test]
async fn a_run_that_waits_for_an_unused_key_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = at_rest(folder.path()).await;
    let mut first = asks("first", "hello");
    first.options.concurrency_key = Some("k".to_owned());
    store.accept_new(first.clone()).await.unwrap();
    store.reap(REAP).await.unwrap();
    let sql = "UPDATE runs SET stage = 2 WHERE task = ?1";
    damage(&store, sql, first.key.task.to_string()).await;
    assert!(claim_all(&store).await.is_empty());
    clock.advance(chrono::TimeDelta::seconds(5));
    let done = store.reap(REAP).await.unwrap().done;
    assert_eq!(done, [Reaped::Due { key: first.key, agent: first.agent }]);
    assert_eq!(claim(&store).await.key, first.key);
}
