//! The store's roles, each method handed to the use case that does it.

mod operating;
mod working;

use crate::{
    PostgresStore,
    db::Db,
    failure::{DbResult, Failure},
    intake, keys, migrate,
    reading::{self, log::Pages},
    registry,
};
use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, BlobHash, KeyId, OwnerId, Principal, Seq, Task, TaskId, TaskKey,
};
use longhaul_runtime::spawn;
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, AgentRegistry, CancelRequested, ControlSignal, FollowedUp,
    IntakeStore, KeyRecord, KeyStore, ListQuery, LogPage, LogSignal, NewKey, ReadLimit, ReadStore,
    RequestCancel, Result, RunDetails, SignalSource, SignalStream, SnapshotOptions, Store,
    StoreError, TaskPage,
};
use sqlx_core::query_scalar::query_scalar;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[async_trait]
impl IntakeStore for PostgresStore {
    async fn accept_new(&self, accept: AcceptNew) -> Result<Accepted> {
        let task = intake::accept_new::NewTask::from(accept);
        let weight = task.weight();
        self.new_tasks.call(task, weight).await
    }

    async fn accept_follow_up(&self, accept: AcceptFollowUp) -> Result<FollowedUp> {
        let message = intake::follow_up::NewMessage::from(accept);
        let weight = message.weight();
        self.messages.call(message, weight).await
    }

    async fn request_cancel(&self, cancel: RequestCancel) -> Result<CancelRequested> {
        let lost = AtomicBool::new(false);
        self.db
            .repeatable(|| async {
                let again = lost.load(Ordering::Relaxed);
                let outcome = intake::cancel::request(&self.db, &cancel, again).await;
                lost.fetch_or(matches!(outcome, Err(Failure::Lost(_))), Ordering::Relaxed);
                outcome
            })
            .await
    }
}

/// A page of each log.
async fn pages(db: &Db, cursors: &BTreeMap<TaskKey, Seq>, limit: ReadLimit) -> DbResult<Pages> {
    let mut reader = db.reader().await?;
    let pages = reading::log::read(&mut reader, cursors, limit).await?;
    reader.done();
    Ok(pages)
}

#[async_trait]
impl ReadStore for PostgresStore {
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>> {
        let read = || async {
            let mut reader = self.db.reader().await?;
            let task = reading::task::read(&mut reader, key, options).await?;
            reader.done();
            Ok(task)
        };
        self.db.repeatable(read).await
    }

    async fn read_log(
        &self,
        key: TaskKey,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Option<LogPage>> {
        let cursors = BTreeMap::from([(key, after)]);
        let read = || async { pages(&self.db, &cursors, limit).await };
        let page = self.db.repeatable(read).await?.remove(&key);
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
        for (key, page) in self.db.repeatable(read).await? {
            match page {
                Ok(page) if page.entries.is_empty() => {}
                Ok(page) => grown.push((key, page)),
                // The others must not suffer; whoever reads this log by itself is told.
                Err(failure) => tracing::error!(task = %key.task, ?failure, "a log is corrupt"),
            }
        }
        Ok(grown)
    }

    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage> {
        let slot = self.db.slots.list().await?;
        let db = Arc::clone(&self.db);
        // The database goes on with a list whose caller went away; the slot is not free before that is done.
        let listed = spawn("listing tasks", async move {
            let _slot = slot;
            let read = || async { reading::list::list(&mut *db.reader().await?, &query).await };
            db.repeatable(read).await
        });
        listed.await.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
    }

    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>> {
        let read =
            || async { reading::blobs::read(&mut *self.db.reader().await?, owner, &hashes).await };
        self.db.repeatable(read).await
    }

    async fn agent_of(&self, owner: OwnerId, task: TaskId) -> Result<Option<AgentName>> {
        let read = || async {
            let name = query_scalar::<_, String>(reading::task::AGENT_OF)
                .bind(owner.0)
                .bind(task.uuid())
                .fetch_optional(&mut *self.db.reader().await?)
                .await?;
            let agent = name.map(AgentName::new).transpose();
            agent.map_err(|error| Failure::corrupt("tasks.agent", error))
        };
        self.db.repeatable(read).await
    }

    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>> {
        let read =
            || async { reading::facts::run_details(&mut *self.db.reader().await?, &keys).await };
        self.db.repeatable(read).await
    }

    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32> {
        let read = || async {
            let mut reader = self.db.reader().await?;
            reading::facts::queue_depth(&mut reader, agent, owner, limit).await
        };
        self.db.repeatable(read).await
    }
}

#[async_trait]
impl AgentRegistry for PostgresStore {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.db.repeatable(|| registry::register(&self.db, &agents)).await
    }

    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        let read = || async { registry::agents(&mut *self.db.reader().await?).await };
        self.db.repeatable(read).await
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn create_key(&self, key: NewKey) -> Result<OwnerId> {
        self.db.repeatable(|| keys::create(&self.db.pool, &key)).await
    }

    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>> {
        self.db.repeatable(|| keys::authenticate(&self.db.pool, hash)).await
    }

    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>> {
        self.db.repeatable(|| keys::list(&self.db.pool, owner)).await
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        self.db.repeatable(|| keys::revoke(&self.db.pool, id)).await
    }
}

#[async_trait]
impl SignalSource for PostgresStore {
    fn follow_logs(&self, tasks: &[TaskKey]) {
        self.db.signals.follow_logs(tasks);
    }

    async fn log_signals(&self) -> Result<SignalStream<LogSignal>> {
        Ok(self.db.signals.log_signals())
    }

    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>> {
        Ok(self.db.signals.control_signals().await)
    }

    fn announce(&self, agent: &AgentName, task: TaskKey) {
        self.db.signals.runnable(agent, task);
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn check(&self) -> Result<()> {
        let acquired = self.db.pool.acquire().await;
        let mut connection = acquired.map_err(|error| self.db.hot.explain(error))?;
        if migrate::is_well(&mut connection).await {
            return Ok(());
        }
        self.db.servers.verify(&mut *connection).await?;
        Ok(migrate::check(&mut connection).await?)
    }

    async fn close(&self) {
        self.background.stop_and_wait().await;
        self.pools.close().await;
    }
}
