//! The writer: a thread with the only connection that writes.
//!
//! All calls that wait when the thread becomes free form the next transaction, in order of arrival.
//! Callers are answered after the commit. If the commit fails, or the process dies before it, none
//! of the calls took effect. A call that is refused or panics fails alone. That is rare, so the
//! transaction is then started again with a savepoint for each call. A lone call waits for nothing:
//! the thread's blocking receive makes the batches, without a timer and without switching tasks for
//! each statement.

use crate::{
    clock::{self, StoreClock},
    db,
    error::{DbResult, SqliteError, describe},
    signals::{CommitEffects, SignalHub},
};
use longhaul_runtime::IdSource;
use longhaul_store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::{mpsc, oneshot};

/// Maximum calls in one transaction.
const MAX_BATCH_CALLS: usize = 256;
/// Maximum bytes in one transaction; a larger call runs alone.
const MAX_BATCH_BYTES: usize = 16 << 20;
/// Maximum waiting calls; further ones are rejected.
const MAX_WAITING_CALLS: usize = 10_000;

/// Context of a call inside a transaction.
pub struct Tx<'a> {
    pub conn: &'a Connection,
    /// Milliseconds since 1970.
    pub now: i64,
    pub ids: &'a dyn IdSource,
    pub effects: CommitEffects,
}

/// Hands calls to the writer thread.
pub struct Writer {
    calls: Mutex<Option<mpsc::Sender<Box<dyn Call>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the file and starts the thread.
    pub fn start(
        path: &Path,
        time: Arc<StoreClock>,
        ids: Arc<dyn IdSource>,
        signals: Arc<SignalHub>,
    ) -> Result<Self> {
        let conn = db::open_writer(path).map_err(|e| describe(&e))?;
        // Bounded: a caller beyond it is refused instead of kept in memory.
        let (sender, receiver) = mpsc::channel(MAX_WAITING_CALLS);
        let mut thread = WriterThread { conn, time, ids, signals, synced: true };
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || thread.serve(receiver))
            .map_err(StoreError::unavailable)?;
        Ok(Self { calls: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs a write of about `weight` bytes and returns once it is on disk. `work` may run twice,
    /// if another call of its batch fails: its changes in the database are undone, its changes in
    /// memory must tolerate the repetition.
    pub async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl Fn(&mut Tx<'_>) -> DbResult<T> + Send + 'static,
    ) -> Result<T> {
        self.call(weight, true, work).await
    }

    /// Runs a write that a power failure may undo. It must not assign a place in a log.
    pub async fn write_unsynced<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> DbResult<T> + Send + 'static,
    ) -> Result<T> {
        self.call(0, false, work).await
    }

    async fn call<T: Send + 'static>(
        &self,
        weight: usize,
        synced: bool,
        work: impl Fn(&mut Tx<'_>) -> DbResult<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call = QueuedCall { work, output: None, answer, weight, synced };
        // Cloned out of the lock, which `close` takes to end the channel.
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let calls = calls.ok_or_else(|| unavailable("the store is closed"))?;
        calls.try_send(Box::new(call)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => unavailable("too many writes wait; try again"),
            mpsc::error::TrySendError::Closed(_) => unavailable("the store has stopped"),
        })?;
        // The thread ends once no sender is left, so none may be held while the answer is awaited.
        drop(calls);
        answered.await.unwrap_or_else(|_| Err(unavailable("the store has stopped")))
    }

    /// Rejects further writes and waits for those in progress.
    pub async fn close(&self) {
        // The thread finishes what waits and ends when the channel is closed.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panicked thread has no result to report.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread owns its connection. Waiting for it keeps the folder locked until the
        // connection is closed.
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

/// A waiting call of any type.
trait Call: Send {
    fn weight(&self) -> usize;
    fn synced(&self) -> bool;
    /// Runs the work, perhaps again. An error means that it was refused and must leave no trace.
    fn run(&mut self, tx: &mut Tx<'_>) -> std::result::Result<(), StoreError>;
    /// Sends the answer, or the reason why nothing was committed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct QueuedCall<T, F> {
    work: F,
    output: Option<DbResult<T>>,
    answer: oneshot::Sender<Result<T>>,
    weight: usize,
    synced: bool,
}

impl<T: Send, F: Fn(&mut Tx<'_>) -> DbResult<T> + Send> Call for QueuedCall<T, F> {
    fn weight(&self) -> usize {
        self.weight
    }

    fn synced(&self) -> bool {
        self.synced
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> std::result::Result<(), StoreError> {
        // A panic's changes in memory vanish with the call; those in the database are rolled back
        // with the savepoint.
        let output = catch_unwind(AssertUnwindSafe(|| (self.work)(tx))).unwrap_or_else(|_| {
            tracing::error!("write panicked");
            Err(unavailable("the write failed by a defect of this program").into())
        });
        // A refusal of the store rolls back as an error of the database does: neither leaves a trace.
        let refused = match &output {
            Err(SqliteError::Db(error)) => Err(describe(error)),
            Err(SqliteError::Store(_)) => Err(unavailable("another write of the batch failed")),
            Ok(_) => Ok(()),
        };
        self.output = Some(output);
        refused
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let answer = match (failed, self.output) {
            // The refusal of this call says more than the failure of the batch.
            (_, Some(Err(error))) => Err(StoreError::from(error)),
            (Some(why), _) => Err(unavailable(why)),
            (None, Some(Ok(output))) => Ok(output),
            // A batch that ended before this call ran, such as by a panic outside of calls.
            (None, None) => Err(unavailable("the write was not begun")),
        };
        // The caller may have gone away; the write is done all the same.
        let _ = self.answer.send(answer);
    }
}

/// Extracts the reason why a batch failed. It is about no single row, so the whole batch may be
/// retried.
fn reason(error: StoreError) -> String {
    match error {
        StoreError::Refused(why) | StoreError::Unavailable(why) => why,
        other => other.to_string(),
    }
}

struct WriterThread {
    conn: Connection,
    time: Arc<StoreClock>,
    ids: Arc<dyn IdSource>,
    signals: Arc<SignalHub>,
    /// Set while commits wait for the disk.
    synced: bool,
}

impl WriterThread {
    fn serve(&mut self, mut calls: mpsc::Receiver<Box<dyn Call>>) {
        let mut carried = None;
        while let Some(first) = carried.take().or_else(|| calls.blocking_recv()) {
            let mut weight = first.weight();
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH_CALLS
                && let Ok(next) = calls.try_recv()
            {
                // A call over the limit starts the next batch, so the order of calls is kept.
                weight = weight.saturating_add(next.weight());
                if weight > MAX_BATCH_BYTES {
                    carried = Some(next);
                    break;
                }
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Call>>) {
        let done = self.transact(&mut batch).map_err(|error| reason(error.into()));
        if let Err(error) = &done {
            tracing::warn!(error, calls = batch.len(), "write batch failed");
            if !self.conn.is_autocommit()
                && let Err(error) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "rollback failed");
            }
        }
        let failed = done.as_ref().err().map(String::as_str);
        for call in batch {
            call.answer(failed);
        }
        // Signals follow the commit: a listener that reads now finds what it is told about.
        if let Ok(effects) = done {
            self.signals.send(effects);
        }
    }

    /// Runs the calls in one transaction and commits it.
    fn transact(&mut self, batch: &mut [Box<dyn Call>]) -> DbResult<CommitEffects> {
        self.sync(batch.iter().any(|call| call.synced()))?;
        self.follow_clock()?;
        self.run("BEGIN IMMEDIATE")?;
        let effects = if let Some(effects) = self.run_all(batch)? {
            effects
        } else {
            // The second run overwrites the outputs of the first.
            self.run("ROLLBACK")?;
            self.run("BEGIN IMMEDIATE")?;
            self.run_with_savepoints(batch)?
        };
        self.run("COMMIT")?;
        Ok(effects)
    }

    /// Follows a clock that was set back, before anything is written with the new time.
    fn follow_clock(&self) -> DbResult<()> {
        // Reading the clock detects a step.
        self.time.now();
        let Some(step) = self.time.pending_step() else { return Ok(()) };
        self.run("BEGIN IMMEDIATE")?;
        clock::shift_relative_times(&self.conn, step)?;
        self.run("COMMIT")?;
        self.time.mark_followed(step);
        Ok(())
    }

    /// Runs the calls without savepoints, which would copy every page that a call changes. `None`:
    /// a call was refused.
    fn run_all(&self, batch: &mut [Box<dyn Call>]) -> DbResult<Option<CommitEffects>> {
        let mut tx = self.tx();
        for call in batch {
            match call.run(&mut tx) {
                Ok(()) => {}
                // A grave error such as a full disk has already rolled back the transaction: the
                // whole batch fails.
                Err(error) if self.conn.is_autocommit() => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(tx.effects))
    }

    /// Runs the calls with a savepoint each, and undoes those that are refused.
    fn run_with_savepoints(&self, batch: &mut [Box<dyn Call>]) -> DbResult<CommitEffects> {
        let mut effects = CommitEffects::default();
        for call in batch {
            self.run("SAVEPOINT one")?;
            let mut tx = self.tx();
            match call.run(&mut tx) {
                Ok(()) => effects.merge(tx.effects),
                Err(error) if self.conn.is_autocommit() => return Err(error.into()),
                Err(_) => self.run("ROLLBACK TO one")?,
            }
            self.run("RELEASE one")?;
        }
        Ok(effects)
    }

    fn tx(&self) -> Tx<'_> {
        let (now, effects) = (self.time.now(), CommitEffects::default());
        Tx { conn: &self.conn, now, ids: &*self.ids, effects }
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        db::execute(&self.conn, sql)
    }

    /// Sets whether the next commit waits for the disk. A synced commit also syncs all earlier
    /// ones.
    fn sync(&mut self, synced: bool) -> rusqlite::Result<()> {
        if synced != self.synced {
            // SQLite changes this setting only outside a transaction.
            self.conn.pragma_update(None, "synchronous", if synced { "full" } else { "normal" })?;
            self.synced = synced;
        }
        Ok(())
    }
}
