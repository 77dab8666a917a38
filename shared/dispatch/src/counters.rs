//! How many hints went which way, for metrics.
//!
//! Guarantee: counting never blocks. A restarted process counts from nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has passed through a dispatcher since its process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DispatchCounts {
    /// Sent, repeats included.
    pub published: u64,
    /// Taken over by the broker or the local queue.
    pub confirmed: u64,
    /// Came back because the queue did not exist.
    pub returned: u64,
    /// Given up: no room, too old, or refused repeatedly. Each costs at most one probe interval.
    pub dropped: u64,
    /// Not sent by themselves: they were merged into one that waited already, of the same task or the same agent.
    pub coalesced: u64,
    /// Handed to workers.
    pub received: u64,
    /// Arrived in a form that this version does not read, and were discarded.
    pub unreadable: u64,
    /// Connections lost, or attempts at one that failed.
    pub reconnects: u64,
}

/// One number of [`DispatchCounts`] that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
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
