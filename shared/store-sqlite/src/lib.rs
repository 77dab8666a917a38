//! The store on SQLite: one process, one folder, no server.
//!
//! What was answered is on the disk: a write is answered after its transaction was committed and synced, and a crash in
//! the middle leaves nothing of it. Writes of all kinds that arrive while a transaction is under way share the next
//! one (see [`writer`]); reads see one state of the data each and never wait for writes. One process at a time has the
//! folder, which a lock of the operating system enforces, so the clock of that process is the store's clock, and the
//! leases of its workers are in its memory (see [`leases`]): a heartbeat waits for no write.

mod concurrency;
mod db;
mod error;
mod folder;
mod head;
mod intents;
mod leases;
mod operating;
mod queue;
mod read;
mod reader;
mod row;
mod schema;
mod signals;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod time;
mod write;
mod writer;

use crate::{
    folder::Folder,
    leases::Leases,
    reader::Readers,
    signals::Signals,
    time::Time,
    write::{look::Watch, turns::Turns},
    writer::Writer,
};
use longhaul_runtime::{Clock, IdSource};
use longhaul_store::Result;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Reads at once.
const READERS: u32 = 4;

/// A store in a folder of this machine.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    /// For heartbeats, which wait for nothing else.
    beats: Readers,
    /// For looks at what is due.
    looks: Readers,
    signals: Arc<Signals>,
    leases: Arc<Leases>,
    turns: Arc<Mutex<Turns>>,
    watch: Arc<Mutex<Watch>>,
    time: Arc<Time>,
    /// Dropped last: the folder stays locked while a connection is open.
    folder: Folder,
}

impl SqliteStore {
    /// Opens the store in a folder, which is made (readable by its owner only) where there is none. Blocks for a moment.
    /// A folder that another process has open, or a file that is no database, is an error. Run
    /// [`migrate`](Self::migrate) next.
    pub fn open(
        data: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Arc<Self>> {
        let folder = Folder::open(data.as_ref())?;
        let signals = Arc::new(Signals::default());
        let time = Arc::new(Time::new(clock));
        let writer =
            Writer::start(&folder.database(), Arc::clone(&time), ids, Arc::clone(&signals))?;
        Ok(Arc::new(Self {
            writer,
            readers: Readers::new(folder.database(), READERS),
            beats: Readers::new(folder.database(), 1),
            looks: Readers::new(folder.database(), 1),
            signals,
            leases: Arc::default(),
            turns: Arc::default(),
            watch: Arc::default(),
            time,
            folder,
        }))
    }

    /// Brings the schema up to what this program needs, all or nothing. A schema of a newer program, or one whose
    /// migrations are not those of this program, is an error.
    ///
    /// Workers that are registered died with the process that had the folder before: their runs are offered again by
    /// the next [`reap`](longhaul_store::Work::reap), without waiting for a lease.
    pub async fn migrate(&self) -> Result<()> {
        let leases = Arc::clone(&self.leases);
        let ready = move |tx: &mut writer::Tx<'_>| {
            schema::migrate(tx.conn, tx.now)?;
            leases.end_all();
            Ok(())
        };
        self.writer.write(0, ready).await
    }

    /// The folder that it is in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
