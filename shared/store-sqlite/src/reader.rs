//! Reads: each sees one state of the data, beside the writer and without waiting for it.

use crate::{
    db,
    error::{Fault, Result as Inner},
};
use longhaul_store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// A few connections that are opened when they are needed.
pub struct Readers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    slots: Arc<Semaphore>,
    connections: u32,
}

impl Readers {
    /// As many reads at once as there may be connections; further ones wait for their turn.
    pub fn new(path: PathBuf, connections: u32) -> Self {
        let slots = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(slots));
        Self(Arc::new(Shared { path, idle: Mutex::default(), slots, connections }))
    }

    /// Runs a read in one transaction, on a thread that may block. A caller that goes away does not stop it.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Inner<T> + Send + 'static,
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

    /// Turns further reads away, waits for those that were begun and closes the connections.
    pub async fn close(&self) {
        let begun = self.0.slots.acquire_many(self.0.connections).await;
        self.0.slots.close();
        drop(begun);
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Inner<T>) -> Inner<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => db::open_reader(&self.path)?,
        };
        // What panics in between takes its connection with it.
        db::execute(&conn, "BEGIN")?;
        let answer = read(&conn);
        if !conn.is_autocommit() {
            db::execute(&conn, "COMMIT")?;
        }
        // After an error of the database the connection is not used again.
        if !matches!(answer, Err(Fault::Db(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        answer
    }
}
