//! Reads, each scoped by owner in its statement.
//!
//! The log is append-only and gapless, so entries up to a known sequence never change. Once a
//! task's state and last sequence are read, further statements bounded by that sequence complete a
//! consistent snapshot.

pub mod artifacts;
pub mod list;
pub mod list_pages;
pub mod list_totals;
pub mod log;
pub mod messages;
pub mod run_details;
pub mod task;

use crate::{PostgresStore, column::column, db::Db, error::DbResult};
use async_trait::async_trait;
use bytes::Bytes;
use log::LogPages;
use longhaul_domain::{AgentName, BlobHash, OwnerId, Seq, Task, TaskKey};
use longhaul_runtime::spawn;
use longhaul_store::{
    ListQuery, LogPage, ReadLimit, ReadStore, Result, RunDetails, SnapshotOptions, StoreError,
    TaskPage,
};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Reads contents by hash.
pub const READ_BLOBS: &str = "-- store::read_blobs
select b.hash, b.bytes
from unnest($2::bytea[]) as w (hash)
cross join lateral (
    select b.hash, b.bytes from blobs b where b.owner_id = $1 and b.hash = w.hash offset 0
) b";

#[async_trait]
impl ReadStore for PostgresStore {
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>> {
        let read = || async {
            let mut reader = self.db.reader().await?;
            let task = task::read(&mut reader, key, options).await?;
            reader.release();
            Ok(task)
        };
        self.db.retry(read).await
    }

    async fn read_log(
        &self,
        key: TaskKey,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Option<LogPage>> {
        let cursors = BTreeMap::from([(key, after)]);
        let read = || async { pages(&self.db, &cursors, limit).await };
        let page = self.db.retry(read).await?.remove(&key);
        Ok(page.transpose()?)
    }

    async fn read_logs(
        &self,
        cursors: Vec<(TaskKey, Seq)>,
        limit: ReadLimit,
    ) -> Result<Vec<(TaskKey, LogPage)>> {
        let cursors: BTreeMap<TaskKey, Seq> = cursors.into_iter().collect();
        let read = || async { pages(&self.db, &cursors, limit).await };
        let mut grown = Vec::new();
        for (key, page) in self.db.retry(read).await? {
            match page {
                Ok(page) if page.entries.is_empty() => {}
                Ok(page) => grown.push((key, page)),
                // One unreadable log must not fail the others. A read of this log alone returns the
                // error.
                Err(failure) => {
                    tracing::error!(task = %key.task, ?failure, "unreadable log skipped");
                }
            }
        }
        Ok(grown)
    }

    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage> {
        let permit = self.db.slots.list_permit().await?;
        let db = Arc::clone(&self.db);
        // The database continues a list whose caller has gone, so the permit is held until the
        // statement ends.
        let listed = spawn("postgres list", async move {
            let _permit = permit;
            let read = || async { list::list(&mut *db.reader().await?, &query).await };
            db.retry(read).await
        });
        listed.await.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
    }

    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>> {
        let read = || async { read_blobs(&mut *self.db.reader().await?, owner, &hashes).await };
        self.db.retry(read).await
    }

    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>> {
        let read =
            || async { run_details::run_details(&mut *self.db.reader().await?, &keys).await };
        self.db.retry(read).await
    }

    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32> {
        let read = || async {
            let mut reader = self.db.reader().await?;
            run_details::queue_depth(&mut reader, agent, owner, limit).await
        };
        self.db.retry(read).await
    }
}

/// Reads one page of each log.
async fn pages(db: &Db, cursors: &BTreeMap<TaskKey, Seq>, limit: ReadLimit) -> DbResult<LogPages> {
    let mut reader = db.reader().await?;
    let pages = log::read(&mut reader, cursors, limit).await?;
    reader.release();
    Ok(pages)
}

/// Reads the contents that the owner has.
async fn read_blobs(
    connection: &mut PgConnection,
    owner: OwnerId,
    hashes: &[BlobHash],
) -> DbResult<HashMap<BlobHash, Bytes>> {
    let wanted: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
    let rows = query(READ_BLOBS).bind(owner.0).bind(wanted).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let bytes: Vec<u8> = column(row, "bytes")?;
            Ok((BlobHash(column(row, "hash")?), Bytes::from(bytes)))
        })
        .collect()
}
