//! One reader of one task's log.

use super::{
    Hub,
    entry::Entry,
    topic::{Found, Topic},
};
use longhaul_domain::{Seq, TaskKey};
use longhaul_runtime::Backoff;
use longhaul_store::{ReadLimit, Result, StoreError};
use std::sync::Arc;

/// How much of the log a reader that is behind reads at once: what each of them may hold.
const PAGE: ReadLimit = ReadLimit { rows: 100, bytes: 256 << 10 };

/// A reader that gets every entry after its place, once and in order.
pub struct Subscription {
    hub: Hub,
    key: TaskKey,
    topic: Arc<Topic>,
    place: Seq,
}

impl Subscription {
    pub(super) const fn new(hub: Hub, key: TaskKey, topic: Arc<Topic>, place: Seq) -> Self {
        Self { hub, key, topic, place }
    }

    /// Goes on behind this place, wherever it stood.
    pub(super) fn go_to(&mut self, place: Seq) {
        self.place = place;
    }

    /// Has the log looked at, whatever was heard.
    pub(super) fn suspect(&self) {
        self.topic.suspect();
    }

    /// Leaves out what comes before a later place, of which the caller knows everything: it is not read for others either
    /// that nobody has asked for yet.
    pub fn start_at(&mut self, place: Seq) {
        self.skip_to(place);
        self.topic.start_at(place);
    }

    /// Leaves out what comes before a later place.
    pub fn skip_to(&mut self, place: Seq) {
        self.place = self.place.max(place);
    }

    /// The next entries, at least one; waits until there is one. Cancel-safe. A store that does not answer is waited for;
    /// an error is for good: the log is gone or cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Arc<Entry>>> {
        let mut failures = 0;
        loop {
            // Made before looking, so that what comes later rings.
            let more = self.topic.more();
            let found = match self.topic.after(self.place) {
                Found::Entries(entries) => entries,
                Found::Nothing => {
                    more.await;
                    continue;
                }
                Found::Behind => self.catch_up().await?,
            };
            if let Some(last) = found.last() {
                self.place = last.seq;
                return Ok(found);
            }
            // The store is away, or the log is shorter than it was said to be.
            tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// The next entries that need no waiting for; none where there are none, or the log would have to be read.
    pub fn ready(&mut self) -> Vec<Arc<Entry>> {
        let Found::Entries(entries) = self.topic.after(self.place) else { return Vec::new() };
        self.place = entries.last().map_or(self.place, |last| last.seq);
        entries
    }

    /// Reads the log itself, one page. Nothing: the store does not answer, or has nothing there yet.
    async fn catch_up(&self) -> Result<Vec<Arc<Entry>>> {
        match self.hub.0.store.read_log(self.key, self.place, PAGE).await {
            Ok(Some(page)) => {
                Ok(page.entries.into_iter().map(|entry| Arc::new(entry.into())).collect())
            }
            Ok(None) => Err(StoreError::corrupt(self.key, "the log", "it is gone")),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "cannot read the log for a subscriber yet");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.key, &self.topic);
    }
}
