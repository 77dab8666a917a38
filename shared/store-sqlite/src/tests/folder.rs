//! One process, one folder, private files.

use super::{REAP, asks, claim, open};
use crate::SqliteStore;
use longhaul_runtime::{SystemClock, SystemIds};
use longhaul_store::{
    IntakeStore, KeyStore, ReadStore, Reaped, SnapshotOptions, Store, StoreError, WorkerStore,
};
use std::sync::Arc;

fn reopened(folder: &std::path::Path) -> longhaul_store::Result<Arc<SqliteStore>> {
    SqliteStore::open(folder, Arc::new(SystemClock), Arc::new(SystemIds))
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_an_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let first = reopened(folder.path()).unwrap();
    let error = reopened(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("is in use by another longhaul process"), "{error}");
    drop(first);
    reopened(folder.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_new_folder_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a").join("b");
    reopened(&folder).unwrap();
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_of_the_store_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).unwrap();
    let names = ["longhaul.db", "longhaul.db-wal", "longhaul.db-shm", "longhaul.lock"];
    let modes = || {
        let mode = |name| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        names.map(mode)
    };
    let first = open(folder.path(), Arc::new(SystemClock)).await;
    first.accept_new(asks("m", "hello")).await.unwrap();
    assert_eq!(modes(), [0o600; 4]);
    drop(first);

    // Files as an earlier version left them, one with a log among them.
    std::fs::write(folder.path().join("longhaul.db-wal"), "").unwrap();
    for name in ["longhaul.db", "longhaul.db-wal", "longhaul.lock"] {
        let old = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(folder.path().join(name), old).unwrap();
    }
    let again = open(folder.path(), Arc::new(SystemClock)).await;
    again.accept_new(asks("n", "hello")).await.unwrap();
    assert_eq!(modes(), [0o600; 4]);
}

#[test]
fn a_folder_that_cannot_be_created_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = reopened(&file).err().unwrap();
    assert!(error.to_string().contains("data folder"), "{error}");
}

#[tokio::test]
async fn data_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let asks = asks("m", "hello");
    store.accept_new(asks.clone()).await.unwrap();
    let before = store.read_task(asks.key, SnapshotOptions::ALL).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let after = store.read_task(asks.key, SnapshotOptions::ALL).await.unwrap();
    assert!(after.is_some());
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_store_that_was_not_migrated_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = reopened(folder.path()).unwrap();
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("longhaul migrate"), "{error}");
}

#[tokio::test]
async fn a_closed_store_rejects_calls() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    store.close().await;
    store.close().await;
    assert!(store.accept_new(asks("m", "hello")).await.unwrap_err().is_transient());
    assert!(store.keys(None).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn runs_of_the_previous_process_are_offered_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), Arc::new(SystemClock)).await;
    first.accept_new(asks("m", "text")).await.unwrap();
    let lost = claim(&first).await;
    drop(first);
    let next = open(folder.path(), Arc::new(SystemClock)).await;
    let reaped = next.reap(REAP).await.unwrap().done;
    assert_eq!(reaped, [Reaped::Offered { key: lost.key, agent: lost.agent }]);
    assert_eq!(claim(&next).await.attempt, 1);
}
