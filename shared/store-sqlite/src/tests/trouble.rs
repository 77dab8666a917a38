//! Defects and damage stay with whom they concern.

use super::{asks, claim, claims, open};
use crate::writer::Tx;
use longhaul_runtime::SystemClock;
use longhaul_store::{Accepted, Intake, Store, StoreError};
use std::sync::Arc;

#[tokio::test]
async fn a_write_that_panics_is_answered_and_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let defect = |tx: &mut Tx<'_>| -> crate::error::Result<()> {
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

#[tokio::test]
async fn a_corrupt_task_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let (bad, good) = (asks("bad", "hello"), asks("good", "hello"));
    store.accept_new(bad.clone()).await.unwrap();
    store.accept_new(good.clone()).await.unwrap();
    let task = bad.key.task.to_string();
    let damage = move |tx: &mut Tx<'_>| {
        Ok(tx.conn.execute("UPDATE log SET body = '{}' WHERE task = ?1", [task])?)
    };
    assert_eq!(store.writer.write(0, damage).await.unwrap(), 1);
    assert!(claims(&store).await.is_empty(), "it comes first, and is put off");
    assert_eq!(claim(&store).await.key, good.key);
}
