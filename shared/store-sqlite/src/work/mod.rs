//! Operations of workers.

pub mod claim;
pub mod due_work;
pub mod output;
pub mod reap;
pub mod settle;
pub mod workers;

use crate::{SqliteStore, intake::blobs_weight, read::history, row, writer::Tx};
use async_trait::async_trait;
use due_work::DueWork;
use longhaul_domain::{CheckpointName, EntryBody, Fence, Json, TaskKey, WorkerId};
use longhaul_store::{
    Append, Appended, ClaimRequest, ClaimedRun, HeartbeatReply, HistoryPage, HistoryQuery,
    NewWorker, ReapOutcome, ReapRequest, Reaped, Result, Settle, Settled, WorkerStore,
};
use rusqlite::Connection;
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

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
        self.heartbeat_readers.read(move |conn| workers::heartbeat_reply(conn, worker)).await
    }

    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>> {
        self.readers.read(move |conn| workers::held_runs(conn, worker)).await
    }

    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        let leases = Arc::clone(&self.leases);
        self.writer.write(0, move |tx| reap::deregister(tx, &leases, worker)).await
    }

    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage> {
        self.readers.read(move |conn| history::page(conn, key, query)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>> {
        let (leases, order) = (Arc::clone(&self.leases), Arc::clone(&self.order));
        let claim = move |tx: &mut Tx<'_>| {
            let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
            claim::claim(tx, &leases, &mut order, &request)
        };
        self.writer.write_unsynced(claim).await
    }

    async fn append(&self, output: Append) -> Result<Appended> {
        let weight = output_weight(&output);
        self.writer.write(weight, move |tx| output::append(tx, &output)).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled> {
        let weight = output_weight(&settle.output);
        self.writer.write(weight, move |tx| settle::settle(tx, &settle)).await
    }

    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
        let name = name.clone();
        self.readers.read(move |conn| output::read_checkpoint(conn, key, &name)).await
    }

    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome> {
        let found = self.search_due_work(reap).await?;
        let mut again_in = found.again_in;
        if found.is_empty() {
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
            again_in = due_work::min_wait();
        }
        Ok(ReapOutcome { done, again_in })
    }
}

impl SqliteStore {
    /// Finds what is due.
    async fn search_due_work(&self, reap: ReapRequest) -> Result<DueWork> {
        let (now, grace) = (self.time.now(), row::millis(reap.grace));
        if self.time.pending_step().is_some() {
            // Any write follows the clock first, and while the clock is behind nothing else may be
            // written.
            self.writer.write(0, |_: &mut Tx<'_>| Ok(())).await?;
        }
        let (leases, orphan_scan) = (Arc::clone(&self.leases), Arc::clone(&self.orphan_scan));
        let search = move |conn: &Connection| {
            let mut orphan_scan = orphan_scan.lock().unwrap_or_else(PoisonError::into_inner);
            due_work::search(conn, &leases, &mut orphan_scan, now, grace)
        };
        self.reap_readers.read(search).await
    }
}

fn output_weight(append: &Append) -> usize {
    let entries: usize = append.entries.iter().map(EntryBody::stored_len).sum();
    let kept: usize = append.checkpoints.iter().map(|kept| kept.value.as_str().len()).sum();
    kept + entries + blobs_weight(&append.blobs)
}
