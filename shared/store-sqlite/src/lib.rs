//! The store on SQLite: one process, one folder, no server.
//!
//! A write is answered after its transaction was committed and synced, and a crash in the middle
//! leaves nothing of it. Writes of all kinds that arrive during a transaction share the next one
//! (see [`writer`]). Each read sees one state of the data and never waits for writes. A lock of the
//! operating system admits one process at a time to the folder. So the clock of that process is the
//! store's clock, and the leases of its workers are in its memory (see [`leases`]): a heartbeat
//! waits for no write.

mod agents;
mod clock;
mod db;
mod error;
mod folder;
mod head;
mod intake;
mod keys;
mod leases;
mod operator;
mod queue;
mod read;
mod reader;
mod row;
mod schedules;
mod schema;
mod signals;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use crate::{
    clock::StoreClock,
    folder::Folder,
    leases::Leases,
    reader::Readers,
    signals::SignalHub,
    work::{claim::ClaimOrder, due_work::OrphanScan},
    writer::Writer,
};
use async_trait::async_trait;
use longhaul_runtime::{Clock, IdSource};
use longhaul_store::{Result, Store};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Maximum concurrent reads.
const MAX_CONCURRENT_READS: u32 = 4;

/// A store in a folder of this machine.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    /// Reads for heartbeats, which wait for no other read.
    heartbeat_readers: Readers,
    /// Reads for reapers that search for due work.
    reap_readers: Readers,
    signals: Arc<SignalHub>,
    leases: Arc<Leases>,
    order: Arc<Mutex<ClaimOrder>>,
    orphan_scan: Arc<Mutex<OrphanScan>>,
    time: Arc<StoreClock>,
    /// Dropped last: the folder stays locked while a connection is open.
    folder: Folder,
}

impl SqliteStore {
    /// Opens the store in a folder, and creates the folder (readable by its owner only) if it is
    /// missing. Blocks for a moment. Fails if another process has the folder open, or if the file
    /// is no database. Call [`migrate`](Self::migrate) next.
    pub fn open(
        data: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Arc<Self>> {
        let folder = Folder::open(data.as_ref())?;
        let signals = Arc::new(SignalHub::default());
        let time = Arc::new(StoreClock::new(clock));
        let writer =
            Writer::start(&folder.database(), Arc::clone(&time), ids, Arc::clone(&signals))?;
        Ok(Arc::new(Self {
            writer,
            readers: Readers::new(folder.database(), MAX_CONCURRENT_READS),
            heartbeat_readers: Readers::new(folder.database(), 1),
            reap_readers: Readers::new(folder.database(), 1),
            signals,
            leases: Arc::default(),
            order: Arc::default(),
            orphan_scan: Arc::default(),
            time,
            folder,
        }))
    }

    /// Migrates the schema to what this program needs, all or nothing. Fails on the schema of a
    /// newer program, and on migrations other than this program's.
    ///
    /// Registered workers died with the previous process: the next
    /// [`reap`](longhaul_store::WorkerStore::reap) offers their runs again without waiting for a
    /// lease.
    pub async fn migrate(&self) -> Result<()> {
        let leases = Arc::clone(&self.leases);
        let ready = move |tx: &mut writer::Tx<'_>| {
            schema::migrate(tx.conn, tx.now)?;
            leases.remove_all();
            Ok(())
        };
        self.writer.write(0, ready).await
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check(&self) -> Result<()> {
        self.readers.read(schema::check).await?;
        // A store that can be read but not written is not healthy.
        self.writer.write_unsynced(|_| Ok(())).await
    }

    async fn close(&self) {
        // The writer's connection closes last, because closing it moves the write-ahead log into
        // the file.
        self.readers.close().await;
        self.heartbeat_readers.close().await;
        self.reap_readers.close().await;
        self.writer.close().await;
        self.signals.close();
    }
}
