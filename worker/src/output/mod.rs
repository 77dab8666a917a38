//! Output of one run, on its way into the log: buffered, appended in batches, in order, each batch once.
//!
//! Whatever is emitted while an append is under way goes into the next one. A full buffer makes the executor wait, except
//! for a checkpoint: it goes in together with its output, and what is in the buffer is written in one step. An append whose
//! answer was lost is repeated under the same operation number, which the store recognises. The `working` status with which
//! a run begins waits for company, and so does what is emitted in one go, so that a quick task is written in one step.

mod buffer;
mod polled;
#[cfg(test)]
mod tests;
mod write;

pub use write::Pending;

use crate::signals::RunSignals;
use buffer::{Buffer, weight};
use longhaul_domain::{Checkpoint, EntryBody, Fence, TaskKey};
use longhaul_executor::OutputStopped;
use longhaul_store::WorkerStore;
use polled::Polled;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The output of one run.
pub struct Output {
    store: Arc<dyn WorkerStore>,
    key: TaskKey,
    fence: Fence,
    attempt: i32,
    signals: Arc<RunSignals>,
    buffer: Mutex<Buffer>,
    /// Whether the executor is at it.
    pub polled: Polled,
    /// Rung when something is to be written.
    filled: Notify,
    /// Rung when something was written, or never will be.
    written: Notify,
}

impl Output {
    /// Of a run that begins with `opening`, which is written with the first output, or when it becomes urgent.
    pub fn new(
        store: Arc<dyn WorkerStore>,
        key: TaskKey,
        fence: Fence,
        attempt: i32,
        signals: Arc<RunSignals>,
        opening: Option<EntryBody>,
    ) -> Self {
        Self {
            store,
            key,
            fence,
            attempt,
            signals,
            buffer: Mutex::new(Buffer::of(opening)),
            polled: Polled::default(),
            filled: Notify::new(),
            written: Notify::new(),
        }
    }

    /// Takes output in, once there is room.
    pub async fn emit(&self, entries: Vec<EntryBody>) -> Result<(), OutputStopped> {
        let _waiting = self.signals.waiting();
        let bytes = entries.iter().map(weight).sum::<usize>();
        loop {
            let room = self.written.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            self.check_open()?;
            {
                let mut buffer = self.lock();
                if buffer.has_room() {
                    buffer.add(entries, bytes);
                    drop(buffer);
                    self.filled.notify_one();
                    return Ok(());
                }
            }
            tokio::select! {
                () = room => {}
                _ = self.signals.wait_stopped() => {}
            }
        }
    }

    /// Waits until everything emitted so far is durable.
    pub async fn flush(&self) -> Result<(), OutputStopped> {
        self.check_open()?;
        let goal = self.lock().emitted;
        self.hurry();
        self.durable(goal).await
    }

    /// Takes output and a checkpoint in, together, and waits until they and everything before them are durable.
    pub async fn commit(
        &self,
        entries: Vec<EntryBody>,
        checkpoint: Checkpoint,
    ) -> Result<(), OutputStopped> {
        self.check_open()?;
        let bytes = entries.iter().map(weight).sum::<usize>();
        let goal = self.lock().commit(entries, bytes, checkpoint);
        self.filled.notify_one();
        self.durable(goal).await
    }

    async fn durable(&self, goal: u64) -> Result<(), OutputStopped> {
        let _waiting = self.signals.waiting();
        loop {
            let written = self.written.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            // What is durable is, whatever has happened since.
            if self.lock().durable >= goal {
                return Ok(());
            }
            self.check_open()?;
            tokio::select! {
                () = written => {}
                _ = self.signals.wait_stopped() => {}
            }
        }
    }

    /// Makes what is buffered urgent.
    pub fn hurry(&self) {
        self.lock().urgent = true;
        self.filled.notify_one();
    }

    /// Nothing more is taken out of the buffer by [`keep_writing`](Self::keep_writing), which returns once what it is writing is
    /// answered.
    pub fn close(&self) {
        self.lock().closed = true;
        self.polled.ended();
        self.filled.notify_one();
    }

    /// Why the store refused output, if it did: the run cannot go on.
    pub fn refused(&self) -> Option<String> {
        self.lock().refused.clone()
    }

    /// Whether anything of this run is in the log.
    pub fn has_written(&self) -> bool {
        self.lock().durable > 0
    }

    fn check_open(&self) -> Result<(), OutputStopped> {
        self.signals.stopped().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
