//! What a store is asked, handed to the writer or to a reader.

use crate::{
    SqliteStore, read, schema,
    write::{accept, append, cancel, claim, keys, reap, registry, settle, workers},
};
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, Blob, BlobHash, EntryBody, KeyId, OwnerId, Part, Principal, Seq,
    Task, TaskId, TaskKey, WorkerId,
};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, Append, Appended, CancelRequested, ClaimRequest, Claimed,
    ControlSignal, FollowedUp, HeartbeatReply, Intake, KeyRecord, Keys, ListQuery, LogPage,
    LogSignal, NewKey, NewWorker, ReadLimit, Reading, Reaped, Registry, RequestCancel, Result,
    Settle, Settled, SignalStream, Signals, SnapshotOptions, Store, TaskPage, Work,
};
use std::{collections::HashMap, time::Duration};

/// About how many bytes blobs and parts add to a transaction.
fn weight<'a>(blobs: &[Blob], parts: impl Iterator<Item = &'a Part>) -> usize {
    blobs.iter().map(|blob| blob.bytes.len()).chain(parts.map(Part::inline_len)).sum()
}

fn output_weight(append: &Append) -> usize {
    let parts = append.entries.iter().flat_map(|entry| match entry {
        EntryBody::Artifact(update) => &update.artifact.parts[..],
        other => other.message().map_or(&[][..], |message| &message.parts[..]),
    });
    weight(&append.blobs, parts)
}

#[async_trait]
impl Intake for SqliteStore {
    async fn accept_new(&self, new: AcceptNew) -> Result<Accepted> {
        let weight = weight(&new.accept.blobs, new.accept.message.message.parts.iter());
        self.writer.write(weight, |tx| accept::accept_new(tx, new)).await
    }

    async fn accept_follow_up(&self, new: AcceptFollowUp) -> Result<FollowedUp> {
        let weight = weight(&new.accept.blobs, new.accept.message.message.parts.iter());
        self.writer.write(weight, |tx| accept::accept_follow_up(tx, new)).await
    }

    async fn request_cancel(&self, request: RequestCancel) -> Result<CancelRequested> {
        self.writer.write(0, move |tx| cancel::request_cancel(tx, &request)).await
    }
}

#[async_trait]
impl Reading for SqliteStore {
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>> {
        self.readers.read(move |conn| read::task::read_task(conn, key, options)).await
    }

    async fn read_log(
        &self,
        key: TaskKey,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Option<LogPage>> {
        self.readers.read(move |conn| read::log::read_log(conn, key, after, limit)).await
    }

    async fn read_logs(
        &self,
        cursors: Vec<(TaskKey, Seq)>,
        limit: ReadLimit,
    ) -> Result<Vec<(TaskKey, LogPage)>> {
        self.readers.read(move |conn| read::log::read_logs(conn, cursors, limit)).await
    }

    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage> {
        self.readers.read(move |conn| read::list::list(conn, &query)).await
    }

    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>> {
        self.readers.read(move |conn| read::log::read_blobs(conn, owner, hashes)).await
    }

    async fn agent_of(&self, owner: OwnerId, task: TaskId) -> Result<Option<AgentName>> {
        self.readers.read(move |conn| read::log::agent_of(conn, owner, task)).await
    }
}

#[async_trait]
impl Work for SqliteStore {
    async fn register_worker(&self, worker: NewWorker) -> Result<()> {
        self.writer.write(0, move |tx| workers::register(tx, &worker)).await
    }

    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
        self.writer.write_unsynced(move |tx| workers::heartbeat(tx, worker, lease)).await
    }

    async fn retire_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        self.writer.write(0, move |tx| reap::retire(tx, worker)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>> {
        self.writer.write_unsynced(move |tx| claim::claim(tx, &request)).await
    }

    async fn append(&self, output: Append) -> Result<Appended> {
        let weight = output_weight(&output);
        self.writer.write(weight, move |tx| append::append(tx, &output)).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled> {
        let weight = output_weight(&settle.output);
        self.writer.write(weight, move |tx| settle::settle(tx, &settle)).await
    }

    async fn reap(&self, limit: u32) -> Result<Vec<Reaped>> {
        self.writer.write(0, move |tx| reap::reap(tx, limit)).await
    }
}

#[async_trait]
impl Registry for SqliteStore {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.writer.write(0, move |tx| registry::register(tx, &agents)).await
    }

    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        self.readers.read(registry::list).await
    }
}

#[async_trait]
impl Keys for SqliteStore {
    async fn create_key(&self, key: NewKey) -> Result<OwnerId> {
        self.writer.write(0, move |tx| keys::create(tx, &key)).await
    }

    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>> {
        self.readers.read(move |conn| keys::authenticate(conn, hash)).await
    }

    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>> {
        let owner = owner.map(str::to_owned);
        self.readers.read(move |conn| keys::list(conn, owner.as_deref())).await
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        let id = id.clone();
        self.writer.write(0, move |tx| keys::revoke(tx, &id)).await
    }
}

#[async_trait]
impl Signals for SqliteStore {
    async fn log_signals(&self) -> Result<SignalStream<LogSignal>> {
        self.signals.log()
    }

    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>> {
        self.signals.control()
    }

    fn announce(&self, agent: &AgentName, task: TaskKey) {
        self.signals.announce(agent, task);
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check(&self) -> Result<()> {
        self.readers.read(schema::check).await?;
        // A store that can only be read does not do what it is for.
        self.writer.write_unsynced(|_| Ok(())).await
    }

    async fn close(&self) {
        // The writer's connection goes last: closing it moves the write-ahead log into the file.
        self.readers.close().await;
        self.writer.close().await;
        self.signals.close();
    }
}
