//! The output of one run on its way into the log: buffered, appended in order, each batch once.
//!
//! Output emitted while an append is in flight goes into the next one. A full buffer makes the
//! executor wait; a checkpoint does not, because it must be written together with its output. An
//! append without an answer is repeated under its operation number, which the store recognises. The
//! opening `working` status and bursts are held back shortly, so that a quick task is one write.
//!
//! Once the lease is lost, nothing more is sent, and an append in flight is not awaited. A crash
//! leaves whole appends: each is in the log or it is not.

mod buffer;
mod poll_tracker;
#[cfg(test)]
mod tests;

use crate::run_signals::{RunSignals, StopReason};
use buffer::{OutputBatch, OutputBuffer, stored_bytes};
use longhaul_domain::{
    Blob, Checkpoint, EntryBody, Fence, Seq, TaskKey, offload::offload_to_blobs,
};
use longhaul_executor::OutputStopped;
use longhaul_store::{Append, Appended, Settle, SettleAs, Settled, StoreError, WorkerStore};
use poll_tracker::PollTracker;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// Pause before a failed append or settlement is repeated.
const WRITE_RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The output of one run.
pub struct Output {
    store: Arc<dyn WorkerStore>,
    key: TaskKey,
    fence: Fence,
    attempt: i32,
    signals: Arc<RunSignals>,
    buffer: Mutex<OutputBuffer>,
    /// Tracks whether the executor's future is being polled.
    pub polls: PollTracker,
    /// Notified when there is something to write.
    filled: Notify,
    /// Notified when something was written, or never will be.
    written: Notify,
}

/// The append in flight. It lives outside of the future that sends it, so that the settlement can
/// repeat an append whose future was dropped.
#[derive(Default)]
pub struct PendingAppend(Mutex<Option<InFlightAppend>>);

#[derive(Clone)]
struct InFlightAppend {
    append: Arc<Append>,
    /// The count of emitted items that are durable once it is answered.
    durable_after: u64,
}

impl Output {
    /// The output of a run. `opening` is written with the first output, or when it becomes urgent.
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
            buffer: Mutex::new(OutputBuffer::with_opening(opening)),
            polls: PollTracker::default(),
            filled: Notify::new(),
            written: Notify::new(),
        }
    }

    /// Buffers output, after waiting for room.
    pub async fn emit(&self, entries: Vec<EntryBody>) -> Result<(), OutputStopped> {
        let _waiting = self.signals.store_wait();
        let bytes = entries.iter().map(stored_bytes).sum::<usize>();
        loop {
            let written = self.written.notified();
            tokio::pin!(written);
            // Enabled before the check, so that a write that ends in between is not missed.
            written.as_mut().enable();
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
                () = written => {}
                _ = self.signals.wait_stopped() => {}
            }
        }
    }

    /// Waits until everything emitted so far is durable.
    pub async fn flush(&self) -> Result<(), OutputStopped> {
        self.check_open()?;
        let goal = self.lock().emitted;
        self.write_soon();
        self.wait_durable(goal).await
    }

    /// Buffers output and a checkpoint as one unit, and waits until it is durable.
    pub async fn commit(
        &self,
        entries: Vec<EntryBody>,
        checkpoint: Checkpoint,
    ) -> Result<(), OutputStopped> {
        self.check_open()?;
        let bytes = entries.iter().map(stored_bytes).sum::<usize>();
        let goal = self.lock().commit(entries, bytes, checkpoint);
        self.filled.notify_one();
        self.wait_durable(goal).await
    }

    async fn wait_durable(&self, goal: u64) -> Result<(), OutputStopped> {
        let _waiting = self.signals.store_wait();
        loop {
            let written = self.written.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            // Checked before the stop: output that became durable stays durable.
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

    /// Requests that the buffered output is written without waiting for more.
    pub fn write_soon(&self) {
        self.lock().urgent = true;
        self.filled.notify_one();
    }

    /// Ends [`keep_writing`](Self::keep_writing) after the append in flight. What stays in the
    /// buffer is left to the settlement.
    pub fn close(&self) {
        self.lock().closed = true;
        self.polls.stop();
        self.filled.notify_one();
    }

    /// The store's reason for refusing output; the run cannot go on.
    pub fn refusal(&self) -> Option<String> {
        self.lock().refusal.clone()
    }

    /// True when anything of this run is in the log.
    pub fn has_written(&self) -> bool {
        self.lock().durable > 0
    }

    /// Writes output until [`close`](Self::close), or until nothing can be written any more.
    ///
    /// Dropping it loses nothing: [`finish_write`](Self::finish_write) repeats the append in flight
    /// under its operation number.
    pub async fn keep_writing(&self, pending: &PendingAppend) {
        loop {
            self.filled.notified().await;
            loop {
                self.polls.until_idle().await;
                if self.lock().closed {
                    return;
                }
                if !self.take_into(pending, false) {
                    break;
                }
                if !self.write(pending).await {
                    return;
                }
            }
        }
    }

    /// Completes the append that was in flight when [`keep_writing`](Self::keep_writing) was
    /// dropped.
    pub async fn finish_write(&self, pending: &PendingAppend) {
        self.write(pending).await;
    }

    /// Settles the run: writes buffered output, then `last`, in one transaction. The caller must
    /// have stopped all other writing.
    pub async fn settle(
        &self,
        pending: &PendingAppend,
        mut last: Vec<EntryBody>,
        how: SettleAs,
        read_up_to: Seq,
    ) -> Result<Settled, StoreError> {
        // Buffered output and settlement are one transaction: a crash keeps both or neither.
        self.take_into(pending, true);
        let output = pending.take().map(|in_flight| Arc::unwrap_or_clone(in_flight.append));
        let mut output = output.unwrap_or_else(|| {
            let batch = self.lock().take();
            self.append_request(batch)
        });
        output.blobs.extend(offload_large_content(&mut last));
        output.entries.extend(last);
        let settle = Settle { how, read_up_to, output };
        loop {
            // The store recognises a repeated settlement, and answers `Already`.
            match self.signals.unless_lease_lost(self.store.settle(settle.clone())).await {
                Some(Err(error)) if error.is_transient() => {
                    tracing::warn!(%error, "settle failed; retrying");
                    self.signals.unless_lease_lost(sleep(WRITE_RETRY_PAUSE)).await;
                }
                Some(answer) => return answer,
                None => return Ok(Settled::Fenced),
            }
        }
    }

    /// Sends the pending append until it is answered; `false` when nothing can be written any more.
    async fn write(&self, pending: &PendingAppend) -> bool {
        let Some(InFlightAppend { append, durable_after }) = pending.get() else { return true };
        loop {
            let call = self.store.append(Append::clone(&append));
            match self.signals.unless_lease_lost(call).await {
                Some(Ok(Appended::Now { .. } | Appended::Already { .. })) => {
                    pending.take();
                    self.lock().durable = durable_after;
                    self.signals.progress();
                    self.written.notify_waiters();
                    return true;
                }
                Some(Ok(Appended::Ended(_))) => return self.stop_writing(StopReason::Canceled),
                Some(Ok(Appended::Fenced)) | None => {
                    return self.stop_writing(StopReason::LeaseLost);
                }
                Some(Err(error)) if error.is_transient() => {
                    tracing::warn!(%error, "append failed; retrying");
                    self.signals.unless_lease_lost(sleep(WRITE_RETRY_PAUSE)).await;
                }
                Some(Err(error)) => return self.refuse(pending, &error),
            }
        }
    }

    fn stop_writing(&self, reason: StopReason) -> bool {
        self.signals.stop(reason);
        self.written.notify_waiters();
        false
    }

    /// Discards output that the store will never accept. The run is stopped and then fails.
    fn refuse(&self, pending: &PendingAppend, error: &StoreError) -> bool {
        tracing::error!(%error, "append refused by the store");
        pending.take();
        self.lock().refuse(error.to_string());
        self.stop_writing(StopReason::Canceled)
    }

    /// Moves buffered output into `pending`; `false` when there is nothing to write now. `all`
    /// includes output that is not urgent.
    fn take_into(&self, pending: &PendingAppend, all: bool) -> bool {
        let mut buffer = self.lock();
        if buffer.is_empty() || !(buffer.urgent || all) {
            return false;
        }
        let batch = buffer.take();
        drop(buffer);
        let durable_after = batch.durable_after;
        let append = Arc::new(self.append_request(batch));
        pending.put(InFlightAppend { append, durable_after });
        true
    }

    fn append_request(&self, batch: OutputBatch) -> Append {
        let OutputBatch { mut entries, checkpoints, durable_after: _, op } = batch;
        let blobs = offload_large_content(&mut entries);
        let (key, fence, attempt) = (self.key, self.fence, self.attempt);
        Append { key, fence, op, attempt, entries, blobs, checkpoints }
    }

    fn check_open(&self) -> Result<(), OutputStopped> {
        self.signals.output_stopped().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, OutputBuffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves large contents of entries into blobs.
fn offload_large_content(entries: &mut [EntryBody]) -> Vec<Blob> {
    entries.iter_mut().flat_map(|entry| offload_to_blobs(entry.blob_slots())).collect()
}

impl PendingAppend {
    fn get(&self) -> Option<InFlightAppend> {
        self.lock().clone()
    }

    fn take(&self) -> Option<InFlightAppend> {
        self.lock().take()
    }

    fn put(&self, in_flight: InFlightAppend) {
        *self.lock() = Some(in_flight);
    }

    fn lock(&self) -> MutexGuard<'_, Option<InFlightAppend>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
