//! A log entry as all its readers share it, together with what it is written as.
//!
//! However many subscribers there are, an event is turned into bytes once for each dialect; events do not depend on the
//! extensions that a client has activated. The bytes live as long as the entry: in the ring, and with those who have taken
//! it from there.

use axum::body::Bytes;
use longhaul_domain::LogEntry;
use longhaul_wire::Dialect;
use std::{ops::Deref, sync::OnceLock};

/// A log entry that many read.
#[derive(Debug)]
pub struct Entry {
    entry: LogEntry,
    /// One for each dialect; `None` in it: it cannot be written.
    written: [OnceLock<Option<Bytes>>; Dialect::ALL.len()],
}

impl Entry {
    /// What it is written as in a dialect; made now unless somebody has made it before. None: it cannot be written.
    pub fn written(
        &self,
        dialect: Dialect,
        write: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        self.written.get(dialect as usize)?.get_or_init(write).clone()
    }
}

impl From<LogEntry> for Entry {
    fn from(entry: LogEntry) -> Self {
        Self { entry, written: [const { OnceLock::new() }; Dialect::ALL.len()] }
    }
}

impl Deref for Entry {
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
    fn an_entry_is_written_once_for_all_who_share_it() {
        let body = EntryBody::Note(Note::CancelRequested);
        let entry =
            Entry::from(LogEntry { seq: Seq(1), at: Timestamp::UNIX_EPOCH, attempt: 0, body });
        let made = AtomicUsize::new(0);
        let write = || {
            made.fetch_add(1, Ordering::Relaxed);
            Some(Bytes::from_static(b"{}"))
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(entry.written(Dialect::V1_0, write).unwrap(), "{}"));
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
