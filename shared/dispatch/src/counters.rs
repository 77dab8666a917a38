//! Counters of hints, for metrics.
//!
//! Guarantee: counting never blocks. Counters start at zero in each process.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of a dispatcher since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DispatchCounts {
    /// Messages published, retries included.
    pub published: u64,
    /// Messages confirmed by the broker or added to the local queue.
    pub confirmed: u64,
    /// Messages returned because the queue did not exist.
    pub returned: u64,
    /// Hints dropped: outbox full, expired, or out of attempts. Each costs at most one poll
    /// interval.
    pub dropped: u64,
    /// Hints coalesced with a waiting one of the same task or agent.
    pub coalesced: u64,
    /// Messages delivered to workers.
    pub received: u64,
    /// Messages discarded because this version cannot read them.
    pub unreadable: u64,
    /// Connections lost and failed attempts to connect.
    pub reconnects: u64,
}

/// A live number of [`DispatchCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The live numbers behind [`DispatchCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: Counter,
    pub(crate) confirmed: Counter,
    pub(crate) returned: Counter,
    pub(crate) dropped: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) received: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) reconnects: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> DispatchCounts {
        DispatchCounts {
            published: self.published.get(),
            confirmed: self.confirmed.get(),
            returned: self.returned.get(),
            dropped: self.dropped.get(),
            coalesced: self.coalesced.get(),
            received: self.received.get(),
            unreadable: self.unreadable.get(),
            reconnects: self.reconnects.get(),
        }
    }
}
