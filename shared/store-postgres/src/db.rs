//! Shared state of all use cases: connections, ids, signals and what this process remembers.

use crate::{
    connection_cache::{CachedConnection, ConnectionCache},
    error::DbResult,
    pool::ConnectionPools,
    read_slots::{ReadConnection, ReadSlots},
    retry::{retry, retry_briefly},
    server::Servers,
    signals::SignalHub,
    work::{
        claim::turns::OwnerTurns,
        lost_claims::LostClaims,
        reap::{maintenance::MaintenanceProgress, watch::WorkerWatch},
    },
};
use longhaul_runtime::IdSource;
use longhaul_store::Result;
use sqlx_core::transaction::Transaction;
use sqlx_postgres::{PgPool, Postgres};
use std::{future::Future, sync::Arc};

/// The database as the use cases see it.
pub struct Db {
    /// Sessions whose commits wait for the disk.
    pub pool: PgPool,
    /// Sessions whose commits do not wait for the disk: claims, leases, notifications.
    pub relaxed: PgPool,
    /// The servers behind the pools.
    pub servers: Servers,
    /// Cache over `pool`, for frequent statements.
    pub cache: ConnectionCache,
    /// Cache over `relaxed`, for frequent statements.
    pub relaxed_cache: ConnectionCache,
    /// Limits concurrent reads.
    pub slots: ReadSlots,
    /// Source of claim tokens and message ids.
    pub ids: Arc<dyn IdSource>,
    /// Publishes committed changes.
    pub signals: Arc<SignalHub>,
    /// Claims whose answer was lost.
    pub lost_claims: LostClaims,
    /// Owner that was served last, by agent.
    pub turns: OwnerTurns,
    /// Progress of the periodic work that not every reap pass does.
    pub maintenance: MaintenanceProgress,
    /// Time for which this process has seen each worker unchanged.
    pub watch: WorkerWatch,
}

impl Db {
    /// Assembles the shared state.
    pub fn new(
        pools: &ConnectionPools,
        servers: Servers,
        slots: ReadSlots,
        ids: Arc<dyn IdSource>,
        signals: Arc<SignalHub>,
    ) -> Self {
        let (pool, relaxed) = (pools.synchronous.clone(), pools.relaxed.clone());
        let (lost_claims, turns, maintenance) =
            (LostClaims::default(), OwnerTurns::default(), MaintenanceProgress::default());
        let watch = WorkerWatch::default();
        let (cache, relaxed_cache) = (pools.cache.clone(), pools.relaxed_cache.clone());
        Self {
            pool,
            relaxed,
            servers,
            cache,
            relaxed_cache,
            slots,
            ids,
            signals,
            lost_claims,
            turns,
            maintenance,
            watch,
        }
    }

    /// Acquires a cached connection whose commits wait for the disk. Call
    /// [`release`](CachedConnection::release) when the unit of work is done.
    pub async fn connection(&self) -> DbResult<CachedConnection> {
        self.cache.acquire().await
    }

    /// Begins a transaction whose commit waits for the disk.
    pub async fn begin(&self) -> DbResult<Transaction<'static, Postgres>> {
        self.pool.begin().await.map_err(|error| self.cache.acquire_error(error))
    }

    /// Acquires a connection for reading, within the limit on concurrent reads.
    pub async fn reader(&self) -> DbResult<ReadConnection> {
        self.slots.reader(&self.cache).await
    }

    /// Retries an idempotent unit of work.
    pub async fn retry<T, Fut>(&self, unit: impl FnMut() -> Fut + Send) -> Result<T>
    where
        Fut: Future<Output = DbResult<T>> + Send,
    {
        retry(unit).await.map_err(Into::into)
    }

    /// Retries an idempotent unit of work with a shorter timeout per attempt.
    pub async fn retry_briefly<T, Fut>(&self, unit: impl FnMut() -> Fut + Send) -> Result<T>
    where
        Fut: Future<Output = DbResult<T>> + Send,
    {
        retry_briefly(unit).await.map_err(Into::into)
    }
}
