//! A log entry shared by all its readers, with its cached encodings.
//!
//! An event is encoded once per [`EncodingSlot`], however many subscribers there are; events do not
//! depend on the extensions that a client has activated. The bytes live as long as the entry: in
//! the ring, and with the readers that have taken it from there.

use axum::body::Bytes;
use longhaul_domain::LogEntry;
use std::{ops::Deref, sync::OnceLock};

/// One of the encodings that an entry caches. The bindings decide which is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodingSlot(usize);

impl EncodingSlot {
    /// Number of slots.
    pub const COUNT: usize = 4;

    /// The slot of this index, which must be less than [`Self::COUNT`]; nothing is encoded in others.
    pub const fn new(index: usize) -> Self {
        Self(index)
    }
}

/// A log entry with its cached encodings.
#[derive(Debug)]
pub struct SharedEntry {
    entry: LogEntry,
    /// One per slot; holds `None` when the entry cannot be encoded.
    encodings: [OnceLock<Option<Bytes>>; EncodingSlot::COUNT],
}

impl SharedEntry {
    /// The encoding of a slot, made by `encode` unless another reader has made it before. `None`
    /// when it cannot be encoded.
    pub fn encoded(
        &self,
        slot: EncodingSlot,
        encode: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        self.encodings.get(slot.0)?.get_or_init(encode).clone()
    }
}

impl From<LogEntry> for SharedEntry {
    fn from(entry: LogEntry) -> Self {
        Self { entry, encodings: [const { OnceLock::new() }; EncodingSlot::COUNT] }
    }
}

impl Deref for SharedEntry {
    type Target = LogEntry;

    fn deref(&self) -> &LogEntry {
        &self.entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{EntryBody, Note, Seq, Timestamp};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_entry_is_encoded_once_for_all_its_readers() {
        let body = EntryBody::Note(Note::CancelRequested);
        let entry = SharedEntry::from(LogEntry {
            seq: Seq(1),
            at: Timestamp::UNIX_EPOCH,
            attempt: 0,
            body,
        });
        let encodings_made = AtomicUsize::new(0);
        let encode = || {
            encodings_made.fetch_add(1, Ordering::Relaxed);
            Some(Bytes::from_static(b"{}"))
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    assert_eq!(entry.encoded(EncodingSlot::new(0), encode).unwrap(), "{}");
                });
            }
        });
        assert_eq!(encodings_made.into_inner(), 1);
    }
}
