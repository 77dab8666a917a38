//! Temporary stores, for the tests of other crates.

use crate::SqliteStore;
use longhaul_runtime::{SystemClock, SystemIds};
use longhaul_store::Result;
use std::sync::Arc;
use tempfile::TempDir;

/// Creates a migrated, empty store in a folder that is removed when it is dropped.
pub async fn temp_store() -> Result<(Arc<SqliteStore>, TempDir)> {
    let folder = TempDir::new().map_err(longhaul_store::StoreError::unavailable)?;
    let store = SqliteStore::open(folder.path(), Arc::new(SystemClock), Arc::new(SystemIds))?;
    store.migrate().await?;
    Ok((store, folder))
}
