//! Writes what was emitted: one append at a time, each until it is answered.
//!
//! Once the lease is lost nothing is sent any more, and what is under way is not waited for. A crash in the middle leaves
//! whole appends: one is in the log or it is not.

use super::{Output, buffer::Taken};
use crate::why::Why;
use longhaul_domain::{Blob, EntryBody, Seq, blob::offload_to_blobs};
use longhaul_store::{Append, Appended, Settle, SettleAs, Settled, StoreError};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// How long to wait before a failed append is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The append that is under way, kept outside of the future that makes it, so that a future that is dropped can be
/// followed by one that repeats it.
#[derive(Default)]
pub struct Pending(Mutex<Option<UnderWay>>);

#[derive(Clone)]
struct UnderWay {
    append: Arc<Append>,
    /// Up to here everything is durable once it is answered.
    upto: u64,
}

impl Output {
    /// Writes what is emitted, until [closed](Self::close) or nothing can be written any more. Dropping it loses nothing that
    /// was not lost already: what it was writing is written again, under the same number, by [`finish_write`](Self::finish_write).
    pub async fn keep_writing(&self, pending: &Pending) {
        loop {
            self.filled.notified().await;
            loop {
                self.polled.rests().await;
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
        let output = pending.take().map(|under_way| Arc::unwrap_or_clone(under_way.append));
        let mut output = output.unwrap_or_else(|| {
            let taken = self.lock().take();
            self.append_of(taken)
        });
        output.blobs.extend(offload(&mut last));
        output.entries.extend(last);
        let settle = Settle { how, read_up_to, output };
        loop {
            match self.signals.unless_lost(self.store.settle(settle.clone())).await {
                Some(Err(error)) if error.is_transient() => {
                    tracing::warn!(%error, "cannot settle yet; trying again");
                    self.signals.unless_lost(sleep(RETRY_PAUSE)).await;
                }
                Some(answer) => return answer,
                None => return Ok(Settled::Fenced),
            }
        }
    }

    /// Appends what is pending; `false` when nothing can be written any more.
    async fn write(&self, pending: &Pending) -> bool {
        let Some(UnderWay { append, upto }) = pending.get() else { return true };
        loop {
            match self.signals.unless_lost(self.store.append(Append::clone(&append))).await {
                Some(Ok(Appended::Now { .. } | Appended::Already { .. })) => {
                    pending.take();
                    self.lock().durable = upto;
                    self.signals.progress();
                    self.written.notify_waiters();
                    return true;
                }
                Some(Ok(Appended::Ended(_))) => return self.end(Why::Canceled),
                Some(Ok(Appended::Fenced)) | None => return self.end(Why::LeaseLost),
                Some(Err(error)) if error.is_transient() => {
                    tracing::warn!(%error, "cannot append yet; trying again");
                    self.signals.unless_lost(sleep(RETRY_PAUSE)).await;
                }
                Some(Err(error)) => return self.refuse(pending, &error),
            }
        }
    }

    fn end(&self, why: Why) -> bool {
        self.signals.stop(why);
        self.written.notify_waiters();
        false
    }

    /// The store will never take this output: the run goes on to its end without it, and fails.
    fn refuse(&self, pending: &Pending, error: &StoreError) -> bool {
        tracing::error!(%error, "the store refused output of the executor");
        pending.take();
        self.lock().refuse(error.to_string());
        self.end(Why::Canceled)
    }

    /// Moves what is buffered into `pending`, ready to be written; `false` when there is nothing to write now.
    fn take_into(&self, pending: &Pending, all: bool) -> bool {
        let mut buffer = self.lock();
        if buffer.is_empty() || !(buffer.urgent || all) {
            return false;
        }
        let taken = buffer.take();
        drop(buffer);
        let upto = taken.upto;
        pending.put(UnderWay { append: Arc::new(self.append_of(taken)), upto });
        true
    }

    fn append_of(&self, taken: Taken) -> Append {
        let Taken { mut entries, checkpoints, upto: _, op } = taken;
        let blobs = offload(&mut entries);
        let (key, fence, attempt) = (self.key, self.fence, self.attempt);
        Append { key, fence, op, attempt, entries, blobs, checkpoints }
    }
}

/// Takes large contents out of entries.
fn offload(entries: &mut [EntryBody]) -> Vec<Blob> {
    entries.iter_mut().flat_map(|entry| offload_to_blobs(entry.blob_slots())).collect()
}

impl Pending {
    fn get(&self) -> Option<UnderWay> {
        self.lock().clone()
    }
    fn take(&self) -> Option<UnderWay> {
        self.lock().take()
    }
    fn put(&self, under_way: UnderWay) {
        *self.lock() = Some(under_way);
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
