//! Output of one run, on its way into the log: buffered, appended in batches, in order, each batch once.
//!
//! Whatever is emitted while an append is under way goes into the next one. A full buffer makes the executor wait. An
//! append whose answer was lost is repeated under the same operation number, which the store recognises. The `working`
//! status with which a run begins waits for company, so that a quick task is written in one step.

use crate::running::RunSignals;
use longhaul_domain::{Blob, EntryBody, Fence, Seq, TaskKey, blob::offload_all};
use longhaul_executor::Stopped;
use longhaul_store::{Append, Appended, Settle, SettleAs, Settled, Store, StoreError};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Entries and bytes that may wait before the executor has to.
const MAX_ENTRIES: usize = 256;
const MAX_BYTES: usize = 1 << 20;

/// How long to wait before a failed append is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The output of one run.
pub struct Output {
    store: Arc<dyn Store>,
    key: TaskKey,
    fence: Fence,
    attempt: i32,
    signals: Arc<RunSignals>,
    buffer: Mutex<Buffer>,
    /// Rung when something is to be written.
    filled: Notify,
    /// Rung when something was written, or never will be.
    written: Notify,
}

#[derive(Default)]
struct Buffer {
    entries: Vec<EntryBody>,
    bytes: usize,
    /// Whether the entries are to be written now.
    urgent: bool,
    /// Counts entries ever emitted and ever written, so that a flush knows when it is done.
    emitted: u64,
    durable: u64,
    /// The last operation number used.
    op: i32,
    /// Why the store refused what was emitted, if it did.
    refused: Option<String>,
}

impl Output {
    /// Of a run that begins with `opening`, which is written with the first output, or when it becomes urgent.
    pub fn new(
        store: Arc<dyn Store>,
        key: TaskKey,
        fence: Fence,
        attempt: i32,
        signals: Arc<RunSignals>,
        opening: Option<EntryBody>,
    ) -> Self {
        let emitted = u64::from(opening.is_some());
        let buffer =
            Buffer { entries: opening.into_iter().collect(), emitted, ..Buffer::default() };
        Self {
            store,
            key,
            fence,
            attempt,
            signals,
            buffer: Mutex::new(buffer),
            filled: Notify::new(),
            written: Notify::new(),
        }
    }

    /// Takes output in, once there is room.
    pub async fn emit(&self, entries: Vec<EntryBody>) -> Result<(), Stopped> {
        let bytes = entries.iter().map(weight).sum::<usize>();
        loop {
            let room = self.written.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            self.check_open()?;
            {
                let mut buffer = self.lock();
                let fits = buffer.entries.len() < MAX_ENTRIES && buffer.bytes < MAX_BYTES;
                if fits {
                    buffer.emitted += entries.len() as u64;
                    buffer.bytes += bytes;
                    buffer.entries.extend(entries);
                    buffer.urgent = true;
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
    pub async fn flush(&self) -> Result<(), Stopped> {
        let goal = self.lock().emitted;
        self.hurry();
        loop {
            let written = self.written.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            self.check_open()?;
            if self.lock().durable >= goal {
                return Ok(());
            }
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

    /// Why the store refused output, if it did: the run cannot go on.
    pub fn refused(&self) -> Option<String> {
        self.lock().refused.clone()
    }

    /// Whether anything of this run is in the log.
    pub fn has_written(&self) -> bool {
        self.lock().durable > 0
    }

    /// Writes what is emitted, until the run is over. Dropping it loses nothing that was not lost already: what it was
    /// writing is written again, under the same number, by [`settle`](Self::settle).
    pub async fn keep_writing(&self, pending: &Pending) {
        loop {
            self.filled.notified().await;
            while self.take_into(pending, false) {
                if !self.write(pending).await {
                    return;
                }
            }
        }
    }

    /// Writes what was under way when [`keep_writing`](Self::keep_writing) was dropped.
    pub async fn finish_write(&self, pending: &Pending) {
        self.write(pending).await;
    }

    /// Ends the run: what is still buffered, then `last`, in one step. Nothing may be pending, and nothing else write.
    pub async fn settle(
        &self,
        pending: &Pending,
        mut last: Vec<EntryBody>,
        how: SettleAs,
        read_up_to: Seq,
    ) -> Result<Settled, StoreError> {
        self.take_into(pending, true);
        let output = pending.take().map(Arc::unwrap_or_clone);
        let mut output = output.unwrap_or_else(|| self.next_append(Vec::new()));
        output.blobs.extend(last.iter_mut().flat_map(|entry| offload_all(entry.parts_mut())));
        output.entries.extend(last);
        let settle = Settle { how, read_up_to, output };
        loop {
            match self.store.settle(settle.clone()).await {
                Err(error) if error.is_transient() && !self.lost() => {
                    tracing::warn!(%error, "cannot settle yet; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Appends what is pending; `false` when nothing can be written any more.
    async fn write(&self, pending: &Pending) -> bool {
        let Some(append) = pending.append() else { return true };
        let count = append.entries.len() as u64;
        loop {
            match self.store.append(Append::clone(&append)).await {
                Ok(Appended::Now { .. } | Appended::Already { .. }) => {
                    pending.take();
                    self.lock().durable += count;
                    self.written.notify_waiters();
                    return true;
                }
                Ok(Appended::Fenced) => return self.end(Stopped::LeaseLost),
                Ok(Appended::Ended(_)) => return self.end(Stopped::Canceled),
                Err(error) if error.is_transient() => {
                    if self.lost() {
                        return self.end(Stopped::LeaseLost);
                    }
                    tracing::warn!(%error, "cannot append yet; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return self.refuse(pending, &error),
            }
        }
    }

    fn end(&self, reason: Stopped) -> bool {
        self.signals.stop(reason);
        self.written.notify_waiters();
        false
    }

    /// The store will never take this output: the run goes on to its end without it, and fails.
    fn refuse(&self, pending: &Pending, error: &StoreError) -> bool {
        tracing::error!(%error, "the store refused output of the executor");
        pending.take();
        let mut buffer = self.lock();
        buffer.refused = Some(error.to_string());
        buffer.entries.clear();
        drop(buffer);
        self.end(Stopped::Canceled)
    }

    /// Moves what is buffered into `pending`, ready to be written; `false` when there is nothing to write now.
    fn take_into(&self, pending: &Pending, all: bool) -> bool {
        let mut buffer = self.lock();
        if buffer.entries.is_empty() || !(buffer.urgent || all) {
            return false;
        }
        buffer.urgent = false;
        buffer.bytes = 0;
        let entries = std::mem::take(&mut buffer.entries);
        drop(buffer);
        let append = self.next_append(entries);
        pending.put(append);
        true
    }

    fn next_append(&self, mut entries: Vec<EntryBody>) -> Append {
        let blobs: Vec<Blob> =
            entries.iter_mut().flat_map(|entry| offload_all(entry.parts_mut())).collect();
        let mut buffer = self.lock();
        buffer.op += 1;
        let op = buffer.op;
        drop(buffer);
        Append { key: self.key, fence: self.fence, op, attempt: self.attempt, entries, blobs }
    }

    fn check_open(&self) -> Result<(), Stopped> {
        self.signals.stopped().map_or(Ok(()), Err)
    }

    fn lost(&self) -> bool {
        self.signals.stopped() == Some(Stopped::LeaseLost)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The append that is under way, kept outside of the future that makes it, so that a future that is dropped can be
/// followed by one that repeats it.
#[derive(Default)]
pub struct Pending(Mutex<Option<Arc<Append>>>);

impl Pending {
    fn append(&self) -> Option<Arc<Append>> {
        self.lock().clone()
    }
    fn take(&self) -> Option<Arc<Append>> {
        self.lock().take()
    }
    fn put(&self, append: Append) {
        *self.lock() = Some(Arc::new(append));
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Append>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how many bytes an entry takes in the log.
fn weight(entry: &EntryBody) -> usize {
    let parts = match entry {
        EntryBody::Artifact(update) => &update.artifact.parts,
        EntryBody::Status(change) => match &change.message {
            Some(message) => &message.parts,
            None => return 64,
        },
        EntryBody::Message(_) | EntryBody::Note(_) => return 64,
    };
    64 + parts.iter().map(longhaul_domain::Part::inline_len).sum::<usize>()
}
