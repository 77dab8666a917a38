//! Readers: each read sees one state of the data and does not wait for the writer.

use crate::{
    db,
    error::{DbResult, SqliteError},
};
use longhaul_store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// A pool of connections, opened on demand.
pub struct Readers(Arc<ReaderPool>);

struct ReaderPool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    slots: Arc<Semaphore>,
    connections: u32,
}

impl Readers {
    /// Creates a pool with at most this many connections; further reads wait.
    pub fn new(path: PathBuf, connections: u32) -> Self {
        let slots = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(slots));
        Self(Arc::new(ReaderPool { path, idle: Mutex::default(), slots, connections }))
    }

    /// Runs a read in one transaction on a blocking thread. A caller that goes away does not stop
    /// it.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> DbResult<T> + Send + 'static,
    ) -> Result<T> {
        let closed = |_| StoreError::Unavailable("the store is closed".to_owned());
        let slot = Arc::clone(&self.0.slots).acquire_owned().await.map_err(closed)?;
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            shared.read(read)
        });
        match done.await {
            Ok(answer) => answer.map_err(StoreError::from),
            Err(e) => Err(StoreError::unavailable(e)),
        }
    }

    /// Rejects further reads, waits for those in progress and closes the connections.
    pub async fn close(&self) {
        let begun = self.0.slots.acquire_many(self.0.connections).await;
        self.0.slots.close();
        drop(begun);
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl ReaderPool {
    fn read<T>(&self, read: impl FnOnce(&Connection) -> DbResult<T>) -> DbResult<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => db::open_reader(&self.path)?,
        };
        // A panic from here on drops the connection.
        db::execute(&conn, "BEGIN")?;
        let answer = read(&conn);
        if !conn.is_autocommit() {
            db::execute(&conn, "COMMIT")?;
        }
        // After a database error the connection is not reused.
        if !matches!(answer, Err(SqliteError::Db(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        answer
    }
}
