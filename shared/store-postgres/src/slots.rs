//! Reads leave room for writes.
//!
//! Both use one pool. However many clients read, and however slowly, some connections stay free for what must be written;
//! and lists, which may walk all tasks of an owner, leave some to the other reads.

use crate::{
    failure::{DbResult, Failure},
    kept::{Hot, Kept},
    options::ACQUIRE,
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

/// How many may read at once.
pub struct Slots {
    reads: Arc<Semaphore>,
    lists: Arc<Semaphore>,
}

/// The right to read, until it is dropped.
pub type Slot = OwnedSemaphorePermit;

impl Slots {
    /// Slots for a pool of so many connections, at least 2: a quarter of them is kept for writes.
    pub fn new(connections: u32) -> Self {
        let connections = connections.max(2) as usize;
        let reads = connections - (connections / 4).max(1);
        let lists = (connections / 2).min(reads.saturating_sub(1)).max(1);
        Self { reads: Arc::new(Semaphore::new(reads)), lists: Arc::new(Semaphore::new(lists)) }
    }

    /// A connection to read from. Waits 5 seconds at most.
    pub async fn reader(&self, pool: &Kept) -> DbResult<Reader> {
        let slot = slot(&self.reads).await?;
        Ok(Reader { connection: pool.acquire().await?, _slot: slot })
    }

    /// The right to list. A list reads by [`reader`](Self::reader) all the same.
    pub async fn list(&self) -> DbResult<Slot> {
        slot(&self.lists).await
    }
}

async fn slot(slots: &Arc<Semaphore>) -> DbResult<Slot> {
    match timeout(ACQUIRE, Arc::clone(slots).acquire_owned()).await {
        Ok(Ok(slot)) => Ok(slot),
        Ok(Err(_)) | Err(_) => {
            Err(Failure::Unavailable("too many reads are under way; try again".to_owned()))
        }
    }
}

/// A connection to read from.
pub struct Reader {
    connection: Hot,
    _slot: Slot,
}

impl Reader {
    /// Every statement on it was answered.
    pub fn done(self) {
        self.connection.done();
    }
}

impl Deref for Reader {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
