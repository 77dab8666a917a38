//! The one writer: a thread with the only connection that writes.
//!
//! Calls of every kind that wait when it becomes free make up the next transaction, in the order in which they came. One that
//! is refused, or panics, fails alone: that is rare, so the transaction is then begun again, with a savepoint for each call.
//! Callers are answered after the commit; when that fails, or the process dies before it, nothing of any of them was
//! done. A lone call waits for nobody. The thread's blocking receive is what batches: no timer, no hop between tasks for
//! every statement.

use crate::{
    db,
    error::{Fault, Result as Inner, describe},
    signals::{Effects, Signals},
    time::Time,
    write::clock_step,
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

/// Calls in one transaction.
const BATCH: usize = 256;
/// Bytes in one transaction; one call over it goes alone.
const WEIGHT: usize = 16 << 20;
/// Calls that wait; a further one is turned away.
const WAITING: usize = 10_000;

/// What a call works with.
pub struct Tx<'a> {
    pub conn: &'a Connection,
    /// Milliseconds since 1970.
    pub now: i64,
    pub ids: &'a dyn IdSource,
    pub effects: Effects,
}

/// Hands calls to the thread.
pub struct Writer {
    calls: Mutex<Option<mpsc::Sender<Box<dyn Call>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the file and starts the thread.
    pub fn start(
        path: &Path,
        time: Arc<Time>,
        ids: Arc<dyn IdSource>,
        signals: Arc<Signals>,
    ) -> Result<Self> {
        let conn = db::open_writer(path).map_err(|e| describe(&e))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut thread = Thread { conn, time, ids, signals, synced: true };
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || thread.serve(receiver))
            .map_err(StoreError::unavailable)?;
        Ok(Self { calls: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs a write of about `weight` bytes and answers when it is on the disk. What it did in the database is undone when it
    /// is run again, for another call of its batch; what it did in memory must not mind.
    pub async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl Fn(&mut Tx<'_>) -> Inner<T> + Send + 'static,
    ) -> Result<T> {
        self.call(weight, true, work).await
    }

    /// Runs a write that a power failure may undo: it gives no place in a log away.
    pub async fn write_unsynced<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Inner<T> + Send + 'static,
    ) -> Result<T> {
        self.call(0, false, work).await
    }

    async fn call<T: Send + 'static>(
        &self,
        weight: usize,
        synced: bool,
        work: impl Fn(&mut Tx<'_>) -> Inner<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call = Waiting { work, output: None, answer, weight, synced };
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let calls = calls.ok_or_else(|| unavailable("the store is closed"))?;
        calls.try_send(Box::new(call)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => unavailable("too many writes wait; try again"),
            mpsc::error::TrySendError::Closed(_) => unavailable("the store has stopped"),
        })?;
        drop(calls);
        answered.await.unwrap_or_else(|_| Err(unavailable("the store has stopped")))
    }

    /// Turns further writes away and waits for those that were begun.
    pub async fn close(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has nothing more to say here.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread owns its connection; waiting for it here keeps the folder locked until that is closed.
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

/// A call of some type that waits for the thread.
trait Call: Send {
    fn weight(&self) -> usize;
    fn synced(&self) -> bool;
    /// Does the work, possibly again. An error: it was refused and must leave no trace.
    fn run(&mut self, tx: &mut Tx<'_>) -> std::result::Result<(), StoreError>;
    /// Gives the answer, or why nothing was committed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Waiting<T, F> {
    work: F,
    output: Option<Inner<T>>,
    answer: oneshot::Sender<Result<T>>,
    weight: usize,
    synced: bool,
}

impl<T: Send, F: Fn(&mut Tx<'_>) -> Inner<T> + Send> Call for Waiting<T, F> {
    fn weight(&self) -> usize {
        self.weight
    }

    fn synced(&self) -> bool {
        self.synced
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> std::result::Result<(), StoreError> {
        // What a panic leaves behind in memory goes with the call; in the database, the savepoint is rolled back.
        let output = catch_unwind(AssertUnwindSafe(|| (self.work)(tx))).unwrap_or_else(|_| {
            tracing::error!("a write panicked");
            Err(unavailable("the write failed by a defect of this program").into())
        });
        let refused = match &output {
            Err(Fault::Db(error)) => Err(describe(error)),
            Err(Fault::Store(_)) => Err(unavailable("another write of the batch failed")),
            Ok(_) => Ok(()),
        };
        self.output = Some(output);
        refused
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let answer = match (failed, self.output) {
            // What this call was refused for says more than why the batch failed.
            (_, Some(Err(fault))) => Err(StoreError::from(fault)),
            (Some(why), _) => Err(unavailable(why)),
            (None, Some(Ok(output))) => Ok(output),
            (None, None) => Err(unavailable("the write was not begun")),
        };
        // A caller that has gone away needs no answer; what it asked for is done.
        let _ = self.answer.send(answer);
    }
}

/// Why a batch failed. That says nothing about any one row of it, so all of it may be tried again.
fn reason(error: StoreError) -> String {
    match error {
        StoreError::Refused(why) | StoreError::Unavailable(why) => why,
        other => other.to_string(),
    }
}

struct Thread {
    conn: Connection,
    time: Arc<Time>,
    ids: Arc<dyn IdSource>,
    signals: Arc<Signals>,
    /// Whether a commit waits for the disk.
    synced: bool,
}

impl Thread {
    fn serve(&mut self, mut calls: mpsc::Receiver<Box<dyn Call>>) {
        let mut carried = None;
        while let Some(first) = carried.take().or_else(|| calls.blocking_recv()) {
            let mut weight = first.weight();
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = calls.try_recv()
            {
                weight = weight.saturating_add(next.weight());
                if weight > WEIGHT {
                    carried = Some(next);
                    break;
                }
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Call>>) {
        let done = self.transact(&mut batch).map_err(|fault| reason(fault.into()));
        if let Err(error) = &done {
            tracing::warn!(error, calls = batch.len(), "a batch of writes was not committed");
            if !self.conn.is_autocommit()
                && let Err(error) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a failed batch could not be rolled back");
            }
        }
        let failed = done.as_ref().err().map(String::as_str);
        for call in batch {
            call.answer(failed);
        }
        if let Ok(effects) = done {
            self.signals.send(effects);
        }
    }

    /// Runs the calls in one transaction and commits it.
    fn transact(&mut self, batch: &mut [Box<dyn Call>]) -> Inner<Effects> {
        self.sync(batch.iter().any(|call| call.synced()))?;
        self.follow_clock()?;
        self.run("BEGIN IMMEDIATE")?;
        let effects = if let Some(effects) = self.together(batch)? {
            effects
        } else {
            self.run("ROLLBACK")?;
            self.run("BEGIN IMMEDIATE")?;
            self.one_by_one(batch)?
        };
        self.run("COMMIT")?;
        Ok(effects)
    }

    /// Follows a clock that was set back, before anything is written by its new time.
    fn follow_clock(&self) -> Inner<()> {
        self.time.now();
        let Some(step) = self.time.step() else { return Ok(()) };
        self.run("BEGIN IMMEDIATE")?;
        clock_step::follow(&self.conn, step)?;
        self.run("COMMIT")?;
        self.time.followed(step);
        Ok(())
    }

    /// Runs the calls without savepoints, which would copy every page that each of them changes; `None`: one was refused.
    fn together(&self, batch: &mut [Box<dyn Call>]) -> Inner<Option<Effects>> {
        let mut tx = self.tx();
        for call in batch {
            match call.run(&mut tx) {
                Ok(()) => {}
                // A grave error, such as a full disk, rolls everything back at once: then the batch fails.
                Err(error) if self.conn.is_autocommit() => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(tx.effects))
    }

    /// The same, undoing what those did that are refused.
    fn one_by_one(&self, batch: &mut [Box<dyn Call>]) -> Inner<Effects> {
        let mut effects = Effects::default();
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
        let (now, effects) = (self.time.now(), Effects::default());
        Tx { conn: &self.conn, now, ids: &*self.ids, effects }
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        db::execute(&self.conn, sql)
    }

    /// Says whether the next commit waits for the disk. One that does takes every earlier one with it.
    fn sync(&mut self, synced: bool) -> rusqlite::Result<()> {
        if synced != self.synced {
            self.conn.pragma_update(None, "synchronous", if synced { "full" } else { "normal" })?;
            self.synced = synced;
        }
        Ok(())
    }
}
