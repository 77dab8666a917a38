//! One reader of one task's log.

use super::{
    Hub,
    entry::SharedEntry,
    topic::{RingRead, Topic},
};
use longhaul_domain::{Seq, TaskKey};
use longhaul_runtime::Backoff;
use longhaul_store::{ReadLimit, Result, StoreError};
use std::sync::Arc;

/// Page of the log that a lagging reader reads, and so what each of them may hold.
const CATCH_UP_PAGE: ReadLimit = ReadLimit { rows: 100, bytes: 256 << 10 };

/// A reader that gets every entry after its place, once and in order.
pub struct LogSubscription {
    hub: Hub,
    key: TaskKey,
    topic: Arc<Topic>,
    position: Seq,
}

impl LogSubscription {
    pub(super) const fn new(hub: Hub, key: TaskKey, topic: Arc<Topic>, position: Seq) -> Self {
        Self { hub, key, topic, position }
    }

    /// Moves to this place, forwards or backwards.
    pub(super) fn go_to(&mut self, position: Seq) {
        self.position = position;
    }

    /// Has the log read again, whatever signals said.
    pub(super) fn suspect(&self) {
        self.topic.suspect();
    }

    /// Skips to a later place of which the caller knows everything before. Entries before it are
    /// not read for the ring either, unless another reader has asked for them.
    pub fn start_at(&mut self, position: Seq) {
        self.skip_to(position);
        self.topic.start_at(position);
    }

    /// Skips the entries up to a later place.
    pub fn skip_to(&mut self, position: Seq) {
        self.position = self.position.max(position);
    }

    /// The next entries, at least one. Cancel-safe. Waits for a store that is unavailable; an error
    /// is permanent: the log is gone or cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Arc<SharedEntry>>> {
        let mut failures = 0;
        loop {
            // Created before the ring is read, so that an entry added in between notifies it.
            let more = self.topic.more();
            let found = match self.topic.read_after(self.position) {
                RingRead::Entries(entries) => entries,
                RingRead::Nothing => {
                    more.await;
                    continue;
                }
                RingRead::Behind => self.catch_up().await?,
            };
            if let Some(last) = found.last() {
                self.position = last.seq;
                return Ok(found);
            }
            // The store is unavailable, or the log is shorter than it was said to be.
            tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Entries that are in the ring already; none when the log would have to be read.
    pub fn ready(&mut self) -> Vec<Arc<SharedEntry>> {
        let RingRead::Entries(entries) = self.topic.read_after(self.position) else {
            return Vec::new();
        };
        self.position = entries.last().map_or(self.position, |last| last.seq);
        entries
    }

    /// Reads one page of the log. Empty when the store is unavailable or has nothing after the
    /// place yet.
    async fn catch_up(&self) -> Result<Vec<Arc<SharedEntry>>> {
        match self.hub.0.store.read_log(self.key, self.position, CATCH_UP_PAGE).await {
            Ok(Some(page)) => {
                Ok(page.entries.into_iter().map(|entry| Arc::new(entry.into())).collect())
            }
            Ok(None) => Err(StoreError::corrupt(self.key, "the log", "it is gone")),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "log read failed for a subscriber");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for LogSubscription {
    fn drop(&mut self) {
        // The last reader takes the topic with it.
        self.hub.leave(self.key, &self.topic);
    }
}
