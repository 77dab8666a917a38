//! What a store is asked, handed to the writer or to a reader.

use crate::{
    SqliteStore, read, row, schema,
    write::{
        accept, append, cancel, checkpoints, claim, keys,
        look::{self, Found},
        reap, registry, settle, workers,
    },
    writer::Tx,
};
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, Blob, BlobHash, CheckpointName, EntryBody, Fence, Json, KeyId,
    OwnerId, Principal, Seq, Task, TaskId, TaskKey, WorkerId,
};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, AgentRegistry, Append, Appended, CancelRequested,
    ClaimRequest, ClaimedRun, ControlSignal, FollowedUp, HeartbeatReply, HistoryPage, HistoryQuery,
    IncomingMessage, IntakeStore, KeyRecord, KeyStore, ListQuery, LogPage, LogSignal, NewKey,
    NewWorker, ReadLimit, ReadStore, ReapOutcome, ReapRequest, Reaped, RequestCancel, Result,
    RunDetails, Settle, Settled, SignalSource, SignalStream, SnapshotOptions, Store, TaskPage,
    WorkerStore,
};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// About how many bytes a message adds to a transaction.
pub fn weight(accept: &IncomingMessage) -> usize {
    blobs_weight(&accept.blobs) + accept.message.stored_len()
}

fn blobs_weight(blobs: &[Blob]) -> usize {
    blobs.iter().map(|blob| blob.bytes.len()).sum()
}

fn output_weight(append: &Append) -> usize {
    let entries: usize = append.entries.iter().map(EntryBody::stored_len).sum();
    let kept: usize = append.checkpoints.iter().map(|kept| kept.value.as_str().len()).sum();
    kept + entries + blobs_weight(&append.blobs)
}

#[async_trait]
impl IntakeStore for SqliteStore {
    async fn accept_new(&self, new: AcceptNew) -> Result<Accepted> {
        let weight = weight(&new.accept);
        let new = accept::NewTask::from(new);
        self.writer.write(weight, move |tx| accept::accept_new(tx, &new)).await
    }

    async fn accept_follow_up(&self, new: AcceptFollowUp) -> Result<FollowedUp> {
        let weight = weight(&new.accept);
        let (key, budget) = (new.key, new.budget);
        let said = accept::Said::from(new.accept);
        self.writer.write(weight, move |tx| accept::accept_follow_up(tx, key, &said, budget)).await
    }

    async fn request_cancel(&self, request: RequestCancel) -> Result<CancelRequested> {
        self.writer.write(0, move |tx| cancel::request_cancel(tx, &request)).await
    }
}

#[async_trait]
impl ReadStore for SqliteStore {
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

    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>> {
        self.readers.read(move |conn| read::facts::run_details(conn, keys)).await
    }

    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32> {
        let agent = agent.clone();
        self.readers.read(move |conn| read::facts::queue_depth(conn, &agent, owner, limit)).await
    }
}

#[async_trait]
impl WorkerStore for SqliteStore {
    async fn register_worker(&self, worker: NewWorker) -> Result<()> {
        let (id, leases) = (worker.id, Arc::clone(&self.leases));
        let registered =
            self.writer.write(0, move |tx| workers::register(tx, &leases, &worker)).await;
        if registered.is_err() {
            self.leases.end(id);
        }
        registered
    }

    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
        if !self.leases.renew(worker, self.time.now(), lease) {
            return Ok(HeartbeatReply::Lost);
        }
        self.beats.read(move |conn| workers::renewed(conn, worker)).await
    }

    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>> {
        self.readers.read(move |conn| workers::held_runs(conn, worker)).await
    }

    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        let leases = Arc::clone(&self.leases);
        self.writer.write(0, move |tx| reap::retire(tx, &leases, worker)).await
    }

    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage> {
        self.readers.read(move |conn| read::history::page(conn, key, query)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>> {
        let (leases, turns) = (Arc::clone(&self.leases), Arc::clone(&self.turns));
        let claim = move |tx: &mut Tx<'_>| {
            let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
            claim::claim(tx, &leases, &mut turns, &request)
        };
        self.writer.write_unsynced(claim).await
    }

    async fn append(&self, output: Append) -> Result<Appended> {
        let weight = output_weight(&output);
        self.writer.write(weight, move |tx| append::append(tx, &output)).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled> {
        let weight = output_weight(&settle.output);
        self.writer.write(weight, move |tx| settle::settle(tx, &settle)).await
    }

    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
        let name = name.clone();
        self.readers.read(move |conn| checkpoints::read(conn, key, &name)).await
    }

    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome> {
        let found = self.look(reap).await?;
        let mut again_in = found.again_in;
        if found.nothing() {
            return Ok(ReapOutcome { done: Vec::new(), again_in });
        }
        let (leases, overdue) = (Arc::clone(&self.leases), found.overdue);
        let work = move |tx: &mut Tx<'_>| reap::reap(tx, &leases, reap, &found);
        let done = if overdue {
            self.writer.write(0, work).await?
        } else {
            self.writer.write_unsynced(work).await?
        };
        if done.len() >= usize::try_from(reap.limit).unwrap_or(usize::MAX) {
            again_in = look::at_once();
        }
        Ok(ReapOutcome { done, again_in })
    }
}

impl SqliteStore {
    /// What is due.
    async fn look(&self, reap: ReapRequest) -> Result<Found> {
        let (now, grace) = (self.time.now(), row::millis(reap.grace));
        if self.time.step().is_some() {
            // Any write follows the clock first; nothing else may be written for as long as it was set back.
            self.writer.write(0, |_: &mut Tx<'_>| Ok(())).await?;
        }
        let (leases, watch) = (Arc::clone(&self.leases), Arc::clone(&self.watch));
        let look = move |conn: &Connection| {
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            look::look(conn, &leases, &mut watch, now, grace)
        };
        self.looks.read(look).await
    }
}

#[async_trait]
impl AgentRegistry for SqliteStore {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.writer.write(0, move |tx| registry::register(tx, &agents)).await
    }

    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        self.readers.read(registry::list).await
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
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
impl SignalSource for SqliteStore {
    fn follow_logs(&self, _: &[TaskKey]) {
        // There is one process, and it hears of every task.
    }

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
        self.beats.close().await;
        self.looks.close().await;
        self.writer.close().await;
        self.signals.close();
    }
}
