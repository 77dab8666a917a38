//! Limits concurrent reads so that writes always find a connection.
//!
//! Reads and writes share one pool. A quarter of its connections is reserved for writes, however
//! many clients read and however slowly. Lists may walk all tasks of an owner, so they get only
//! some of the read slots.

use crate::{
    connection_cache::{CachedConnection, ConnectionCache},
    error::{DbError, DbResult},
    pool::ACQUIRE_TIMEOUT,
};
use sqlx_postgres::PgConnection;
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Limits on concurrent reads and lists.
pub struct ReadSlots {
    reads: Arc<Semaphore>,
    lists: Arc<Semaphore>,
}

/// Permission to read until it is dropped.
pub type ReadPermit = OwnedSemaphorePermit;

impl ReadSlots {
    /// Creates slots for a pool of this size (at least 2), with a quarter of it reserved for
    /// writes.
    pub fn new(connections: u32) -> Self {
        let connections = connections.max(2) as usize;
        // At least one connection stays free for writes.
        let reads = connections - (connections / 4).max(1);
        // At most half of the pool, and fewer than all read slots.
        let lists = (connections / 2).min(reads.saturating_sub(1)).max(1);
        Self { reads: Arc::new(Semaphore::new(reads)), lists: Arc::new(Semaphore::new(lists)) }
    }

    /// Acquires a connection for reading. Waits at most 5 seconds for a slot.
    pub async fn reader(&self, pool: &ConnectionCache) -> DbResult<ReadConnection> {
        // The permit comes first: waiting readers must not hold connections.
        let permit = acquire(&self.reads).await?;
        Ok(ReadConnection { connection: pool.acquire().await?, _permit: permit })
    }

    /// Acquires permission to list. The list itself still reads through [`reader`](Self::reader).
    pub async fn list_permit(&self) -> DbResult<ReadPermit> {
        acquire(&self.lists).await
    }
}

async fn acquire(slots: &Arc<Semaphore>) -> DbResult<ReadPermit> {
    match timeout(ACQUIRE_TIMEOUT, Arc::clone(slots).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => {
            Err(DbError::Unavailable("too many concurrent reads; try again".to_owned()))
        }
    }
}

/// A connection for reading.
pub struct ReadConnection {
    connection: CachedConnection,
    _permit: ReadPermit,
}

impl ReadConnection {
    /// Puts the connection back into the cache. Every statement must be answered.
    pub fn release(self) {
        self.connection.release();
    }
}

impl Deref for ReadConnection {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for ReadConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
