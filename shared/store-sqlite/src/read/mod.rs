//! Reads: each function works within one snapshot of the data.

pub mod budget;
pub mod history;
pub mod list;
pub mod log;
pub mod run_details;
pub mod task;

use crate::SqliteStore;
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{AgentName, BlobHash, OwnerId, Seq, Task, TaskKey};
use longhaul_store::{
    ListQuery, LogPage, ReadLimit, ReadStore, Result, RunDetails, SnapshotOptions, TaskPage,
};
use std::collections::HashMap;

#[async_trait]
impl ReadStore for SqliteStore {
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>> {
        self.readers.read(move |conn| task::read_task(conn, key, options)).await
    }

    async fn read_log(
        &self,
        key: TaskKey,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Option<LogPage>> {
        self.readers.read(move |conn| log::read_log(conn, key, after, limit)).await
    }

    async fn read_logs(
        &self,
        cursors: Vec<(TaskKey, Seq)>,
        limit: ReadLimit,
    ) -> Result<Vec<(TaskKey, LogPage)>> {
        self.readers.read(move |conn| log::read_logs(conn, cursors, limit)).await
    }

    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage> {
        self.readers.read(move |conn| list::list(conn, &query)).await
    }

    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>> {
        self.readers.read(move |conn| log::read_blobs(conn, owner, hashes)).await
    }

    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>> {
        self.readers.read(move |conn| run_details::run_details(conn, keys)).await
    }

    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32> {
        let agent = agent.clone();
        self.readers.read(move |conn| run_details::queue_depth(conn, &agent, owner, limit)).await
    }
}
