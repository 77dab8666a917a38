//! Full disks, and files that are no databases.

use super::{asks, open};
use longhaul_runtime::{SystemClock, SystemIds};
use longhaul_store::{Accepted, IntakeStore, ReadStore, SnapshotOptions, Store, StoreError};
use std::{fs, sync::Arc};

/// Limits the file to a number of pages, which the database sees as a full disk.
async fn allow_pages(store: &crate::SqliteStore, pages: i64) {
    let allow = store.writer.write(0, move |tx| {
        Ok(tx.conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
    });
    allow.await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    allow_pages(&store, 120).await;
    let large = "x".repeat(20_000);
    let mut there = Vec::new();
    let error = loop {
        let asks = asks(&there.len().to_string(), &large);
        let key = asks.key;
        match store.accept_new(asks).await {
            Ok(_) => there.push(key),
            Err(error) => break error,
        }
    };
    assert!(!there.is_empty());
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("the disk is full; free some space"), "{error}");
    for key in &there {
        let task = store.read_task(*key, SnapshotOptions::ALL).await.unwrap();
        assert_eq!(task.unwrap().history.len(), 1);
    }
    allow_pages(&store, 100_000).await;
    let outcome = store.accept_new(asks(&there.len().to_string(), &large)).await.unwrap();
    assert!(matches!(outcome, Accepted::Created { .. }), "nothing of the refused one stayed");
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_small_write_succeeds_beside_one_that_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    allow_pages(&store, 120).await;
    let large = "x".repeat(2_000_000);
    let (one, two, three) = tokio::join!(
        store.accept_new(asks("1", "small")),
        store.accept_new(asks("2", &large)),
        store.accept_new(asks("3", "small")),
    );
    let refused = two.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    for small in [one, three] {
        // A small write in the same batch may fail with it, but then as a retryable error.
        assert!(small.as_ref().map_or_else(StoreError::is_transient, |_| true), "{small:?}");
    }
    store.accept_new(asks("4", "small")).await.unwrap();
}

#[test]
fn a_file_that_is_no_database_is_reported_as_damaged() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("longhaul.db"), "not a database, ".repeat(1_000)).unwrap();
    let opened =
        crate::SqliteStore::open(folder.path(), Arc::new(SystemClock), Arc::new(SystemIds));
    let error = opened.err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("the database file is corrupt"), "{error}");
}
