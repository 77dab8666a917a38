//! What workers do.

use crate::{
    PostgresStore, reading, until,
    work::{
        self,
        append::Output,
        output::{Write, Wrote},
        settle::Ending,
    },
};
use async_trait::async_trait;
use longhaul_domain::{CheckpointName, Fence, Json, TaskKey, WorkerId};
use longhaul_store::{
    Append, Appended, ClaimRequest, ClaimedRun, HeartbeatReply, HistoryPage, HistoryQuery,
    NewWorker, ReapOutcome, ReapRequest, Reaped, Result, Settle, Settled, StoreError, WorkerStore,
};
use std::{sync::Arc, time::Duration};

#[async_trait]
impl WorkerStore for PostgresStore {
    async fn register_worker(&self, worker: NewWorker) -> Result<()> {
        self.sessions.hold(worker.id, &self.background, &self.db.relaxed).await?;
        self.db.repeatable(|| work::lease::register(&self.db, &worker)).await
    }

    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
        self.db.repeatable_briefly(|| work::lease::heartbeat(&self.db, worker, lease)).await
    }

    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>> {
        self.db.repeatable_briefly(|| work::lease::held_runs(&self.db, worker)).await
    }

    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        let reaped = self.db.repeatable(|| work::lease::retire(&self.db, worker)).await?;
        self.sessions.release(worker).await;
        Ok(reaped)
    }

    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage> {
        self.db.repeatable(|| reading::history::page(&self.db, key, query)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>> {
        self.claims.call(request, 0).await
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        let write = Write::Append(Output::from(append));
        let weight = write.weight();
        match self.writes.call(write, weight).await? {
            Wrote::Append(appended) => Ok(appended),
            Wrote::Settle(_) => Err(mixed_up()),
        }
    }

    async fn settle(&self, settle: Settle) -> Result<Settled> {
        let Settle { how, read_up_to, output } = settle;
        let write = Write::Settle(Ending { how, read_up_to, output: Output::from(output) });
        let weight = write.weight();
        match self.writes.call(write, weight).await? {
            Wrote::Settle(settled) => Ok(settled),
            Wrote::Append(_) => Err(mixed_up()),
        }
    }

    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
        self.db.repeatable(|| work::checkpoint::read(&self.db, key, name)).await
    }

    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome> {
        let round = self.db.repeatable(|| work::reap::reap(&self.db, &reap)).await?;
        if round.thorough {
            let pruning = work::reap::prune(Arc::clone(&self.db));
            let stop = self.background.stopping().clone();
            self.background.spawn("pruning dedupe keys", until(stop, pruning));
        }
        Ok(round.reaping)
    }
}

fn mixed_up() -> StoreError {
    StoreError::Unavailable("the answer was meant for another call".to_owned())
}
