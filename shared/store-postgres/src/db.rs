//! What every use case needs: connections, ids, and somebody to tell what has changed.

use crate::{
    failure::{DbResult, Failure},
    replay::retried,
    signals::Hub,
};
use longhaul_runtime::Ids;
use longhaul_store::Result;
use sqlx_core::transaction::Transaction;
use sqlx_postgres::{PgPool, Postgres};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;

/// The database, as the use cases see it.
pub struct Db {
    /// Sessions whose commits wait for the disk.
    pub pool: PgPool,
    /// Sessions whose commits do not: claims, leases, notifications.
    pub relaxed: PgPool,
    /// Makes claim tokens.
    pub ids: Arc<dyn Ids>,
    /// Who hears of changes.
    pub signals: Arc<Hub>,
    /// Tokens of claims whose answer was lost: their runs are given back before the next claim.
    lost_claims: Mutex<Vec<Uuid>>,
}

impl Db {
    /// Puts the pieces together.
    pub fn new(pool: PgPool, relaxed: PgPool, ids: Arc<dyn Ids>, signals: Arc<Hub>) -> Self {
        Self { pool, relaxed, ids, signals, lost_claims: Mutex::default() }
    }

    /// Begins a transaction whose commit waits for the disk.
    pub async fn begin(&self) -> DbResult<Transaction<'static, Postgres>> {
        self.pool.begin().await.map_err(Failure::from)
    }

    /// Does something that may be done twice.
    pub async fn repeatable<T, Fut>(&self, unit: impl FnMut() -> Fut + Send) -> Result<T>
    where
        Fut: Future<Output = DbResult<T>> + Send,
    {
        retried(unit).await.map_err(Into::into)
    }

    /// Notes claims whose answer was lost.
    pub fn lose_claims(&self, tokens: impl IntoIterator<Item = Uuid>) {
        self.lost_claims.lock().unwrap_or_else(PoisonError::into_inner).extend(tokens);
    }

    /// Takes the notes, to act on them.
    pub fn take_lost_claims(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.lost_claims.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
