//! One reader of one task's log.

use super::{
    Hub,
    topic::{Found, Topic},
};
use longhaul_domain::{LogEntry, Seq, TaskKey};
use longhaul_runtime::Backoff;
use longhaul_store::{ReadLimit, Result};
use std::sync::Arc;
use tokio::sync::watch;

/// A reader that gets every entry after its place, once and in order.
pub struct Subscription {
    hub: Hub,
    key: TaskKey,
    topic: Arc<Topic>,
    read: watch::Receiver<Seq>,
    place: Seq,
}

impl Subscription {
    pub(super) fn new(hub: Hub, key: TaskKey, topic: Arc<Topic>, place: Seq) -> Self {
        let read = topic.watch();
        Self { hub, key, topic, read, place }
    }

    /// Goes on behind this place, wherever it stood.
    pub(super) fn go_to(&mut self, place: Seq) {
        self.place = place;
    }

    /// Has the log looked at, whatever was heard.
    pub(super) fn suspect(&self) {
        self.topic.suspect();
    }

    /// Leaves out what comes before a later place.
    pub fn skip_to(&mut self, place: Seq) {
        self.place = self.place.max(place);
    }

    /// The next entries, at least one; waits until there is one. Cancel-safe. A store that does not answer is waited for.
    pub async fn next(&mut self) -> Vec<Arc<LogEntry>> {
        let mut failures = 0;
        loop {
            // Marks what is there as seen before looking, so that what comes later rings.
            self.read.borrow_and_update();
            let found = match self.topic.after(self.place) {
                Found::Entries(entries) => entries,
                Found::Nothing => {
                    if self.read.changed().await.is_err() {
                        // The topic holds the sender, and we hold the topic.
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                Found::Behind => match self.catch_up().await {
                    Ok(entries) => entries,
                    Err(error) => {
                        tracing::warn!(%error, "cannot read the log for a subscriber yet");
                        tokio::time::sleep(Backoff::RECONNECT.random_delay(failures)).await;
                        failures = failures.saturating_add(1);
                        continue;
                    }
                },
            };
            if let Some(last) = found.last() {
                self.place = last.seq;
                return found;
            }
        }
    }

    /// Reads the log itself, one page.
    async fn catch_up(&self) -> Result<Vec<Arc<LogEntry>>> {
        let page = self.hub.0.store.read_log(self.key, self.place, ReadLimit::default()).await?;
        Ok(page.map(|page| page.entries.into_iter().map(Arc::new).collect()).unwrap_or_default())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.key, &self.topic);
    }
}
