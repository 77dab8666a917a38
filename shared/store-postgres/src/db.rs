//! What every use case needs: connections, ids, and somebody to tell what has changed.

use crate::{
    connect::Pools,
    failure::DbResult,
    kept::{Hot, Kept},
    replay::{retried, retried_briefly},
    server::Servers,
    signals::Hub,
    slots::{Reader, Slots},
    work::{
        claim::turns::Turns,
        lost::LostClaims,
        reap::{rounds::Rounds, watch::WorkerWatch},
    },
};
use longhaul_runtime::IdSource;
use longhaul_store::Result;
use sqlx_core::transaction::Transaction;
use sqlx_postgres::{PgPool, Postgres};
use std::{future::Future, sync::Arc};

/// The database, as the use cases see it.
pub struct Db {
    /// Sessions whose commits wait for the disk.
    pub pool: PgPool,
    /// Sessions whose commits do not: claims, leases, notifications.
    pub relaxed: PgPool,
    /// The servers that they lead to.
    pub servers: Servers,
    /// Of the first, for what runs all the time.
    pub hot: Kept,
    /// Of the second, likewise.
    pub hot_relaxed: Kept,
    /// How many may read at once.
    pub slots: Slots,
    /// Makes claim tokens.
    pub ids: Arc<dyn IdSource>,
    /// Who hears of changes.
    pub signals: Arc<Hub>,
    /// Claims whose answer was lost.
    pub lost: LostClaims,
    /// Whose turn it is to be served.
    pub turns: Turns,
    /// When what need not be looked at each time is looked at again.
    pub rounds: Rounds,
    /// For how long workers have been seen unchanged.
    pub watch: WorkerWatch,
}

impl Db {
    /// Puts the pieces together.
    pub fn new(
        pools: &Pools,
        servers: Servers,
        slots: Slots,
        ids: Arc<dyn IdSource>,
        signals: Arc<Hub>,
    ) -> Self {
        let (pool, relaxed) = (pools.synchronous.clone(), pools.relaxed.clone());
        let (lost, turns, rounds) = (LostClaims::default(), Turns::default(), Rounds::default());
        let watch = WorkerWatch::default();
        let (hot, hot_relaxed) = (pools.hot.clone(), pools.hot_relaxed.clone());
        Self {
            pool,
            relaxed,
            servers,
            hot,
            hot_relaxed,
            slots,
            ids,
            signals,
            lost,
            turns,
            rounds,
            watch,
        }
    }

    /// A connection whose commits wait for the disk, for a unit that says when it is [done](Hot::done).
    pub async fn hot(&self) -> DbResult<Hot> {
        self.hot.acquire().await
    }

    /// Begins a transaction whose commit waits for the disk.
    pub async fn begin(&self) -> DbResult<Transaction<'static, Postgres>> {
        self.pool.begin().await.map_err(|error| self.hot.explain(error))
    }

    /// A connection to read from.
    pub async fn reader(&self) -> DbResult<Reader> {
        self.slots.reader(&self.hot).await
    }

    /// Does something that may be done twice.
    pub async fn repeatable<T, Fut>(&self, unit: impl FnMut() -> Fut + Send) -> Result<T>
    where
        Fut: Future<Output = DbResult<T>> + Send,
    {
        retried(unit).await.map_err(Into::into)
    }

    /// Does something that may be done twice and should not take long.
    pub async fn repeatable_briefly<T, Fut>(&self, unit: impl FnMut() -> Fut + Send) -> Result<T>
    where
        Fut: Future<Output = DbResult<T>> + Send,
    {
        retried_briefly(unit).await.map_err(Into::into)
    }
}
