//! The conformance suite that every store must pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use longhaul_runtime::{SystemClock, SystemIds};
use longhaul_store_kit::Fixture;
use longhaul_store_sqlite::SqliteStore;
use std::sync::Arc;

async fn fresh() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::open(folder.path(), Arc::new(SystemClock), Arc::new(SystemIds)).unwrap();
    store.migrate().await.unwrap();
    Fixture { store, keep: Box::new(folder) }
}

longhaul_store_kit::conformance_tests!(fresh().await);
