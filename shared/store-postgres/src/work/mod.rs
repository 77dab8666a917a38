//! Operations of workers: leases, claims, output, and reaping.

pub mod claim;
pub mod fast_path;
pub mod lease;
pub mod locking_path;
pub mod lost_claims;
pub mod reap;
pub mod run_write;
pub mod settle;

use crate::{
    PostgresStore, reading::messages, run_until_stopped, write::checkpoints::read_checkpoint,
};
use async_trait::async_trait;
use longhaul_domain::{CheckpointName, Fence, Json, TaskKey, WorkerId};
use longhaul_store::{
    Append, Appended, ClaimRequest, ClaimedRun, HeartbeatReply, HistoryPage, HistoryQuery,
    NewWorker, ReapOutcome, ReapRequest, Reaped, Result, Settle, Settled, StoreError, WorkerStore,
};
use run_write::{EncodedAppend, EncodedSettle, RunWrite, WriteOutcome};
use std::{sync::Arc, time::Duration};

#[async_trait]
impl WorkerStore for PostgresStore {
    async fn register_worker(&self, worker: NewWorker) -> Result<()> {
        self.sessions.hold(worker.id, &self.background, &self.db.relaxed).await?;
        self.db.retry(|| lease::register(&self.db, &worker)).await
    }

    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
        self.db.retry_briefly(|| lease::heartbeat(&self.db, worker, lease)).await
    }

    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>> {
        self.db.retry_briefly(|| lease::held_runs(&self.db, worker)).await
    }

    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        let reaped = self.db.retry(|| lease::deregister(&self.db, worker)).await?;
        self.sessions.release(worker).await;
        Ok(reaped)
    }

    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage> {
        self.db.retry(|| messages::history_page(&self.db, key, query)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>> {
        self.claims.call(request, 0).await
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        let write = RunWrite::Append(EncodedAppend::from(append));
        let weight = write.weight();
        match self.writes.call(write, weight).await? {
            WriteOutcome::Append(appended) => Ok(appended),
            WriteOutcome::Settle(_) => Err(wrong_outcome()),
        }
    }

    async fn settle(&self, settle: Settle) -> Result<Settled> {
        let Settle { how, read_up_to, output } = settle;
        let write = RunWrite::Settle(EncodedSettle {
            how,
            read_up_to,
            output: EncodedAppend::from(output),
        });
        let weight = write.weight();
        match self.writes.call(write, weight).await? {
            WriteOutcome::Settle(settled) => Ok(settled),
            WriteOutcome::Append(_) => Err(wrong_outcome()),
        }
    }

    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
        self.db.retry(|| read_checkpoint(&self.db, key, name)).await
    }

    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome> {
        let pass = self.db.retry(|| reap::reap(&self.db, &reap)).await?;
        if pass.full {
            let pruning = reap::prune(Arc::clone(&self.db));
            let stop = self.background.stopping().clone();
            self.background.spawn("postgres dedupe pruning", run_until_stopped(stop, pruning));
        }
        Ok(pass.outcome)
    }
}

fn wrong_outcome() -> StoreError {
    StoreError::Unavailable("the batch answered another call; try again".to_owned())
}
