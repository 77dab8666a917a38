//! The latest entries of one awaited task.

use super::entry::SharedEntry;
use crate::size_estimate::SizeEstimate;
use longhaul_domain::{LogEntry, Seq};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};
use tokio::sync::{Notify, futures::Notified};

/// Capacity of a ring, in entries and in bytes. A reader that is further behind reads the log.
const RING_CAPACITY_ENTRIES: usize = 256;
const RING_CAPACITY_BYTES: u64 = 1 << 20;

/// Size of the entries that all rings of a node keep from earlier reads, and the least share of one
/// ring. Between two trims of idle rings it may be exceeded.
const NODE_CAPACITY_BYTES: u64 = 64 << 20;
const MIN_SHARE_BYTES: u64 = 32 << 10;

/// Size that each of so many rings keeps from earlier reads.
pub fn ring_share_bytes(topics: usize) -> u64 {
    (NODE_CAPACITY_BYTES / (topics as u64).max(1)).clamp(MIN_SHARE_BYTES, RING_CAPACITY_BYTES)
}

/// One awaited task.
pub struct Topic {
    /// Number of subscriptions; changed only while the hub's map of topics is locked.
    pub readers: AtomicUsize,
    ring: Mutex<Ring>,
    /// Notifies all readers of new entries.
    more: Notify,
}

struct Ring {
    /// The latest entries, without gaps, ending with `read`. Empty when that entry alone was too
    /// large.
    entries: VecDeque<Arc<SharedEntry>>,
    /// Size of the entries.
    bytes: u64,
    /// Last entry that is in the ring, or was.
    read: Seq,
    /// Last entry that the log is known to have.
    known: Seq,
    /// Value of `known` when the log was last read.
    known_at_read: Seq,
    /// True when the log is to be read whatever is known.
    suspect: bool,
}

/// Result of reading a ring.
pub enum RingRead {
    /// The next entries.
    Entries(Vec<Arc<SharedEntry>>),
    /// No new entries.
    Nothing,
    /// The reader is behind the ring and must read the log.
    Behind,
}

impl Topic {
    /// A topic whose entries up to `after` no reader here asks for.
    pub fn new(after: Seq) -> Self {
        let ring = Ring {
            entries: VecDeque::new(),
            bytes: 0,
            read: after,
            known: after,
            known_at_read: after,
            suspect: false,
        };
        Self { readers: AtomicUsize::new(0), ring: Mutex::new(ring), more: Notify::new() }
    }

    /// Completes when there are new entries since this call, even if it is polled later.
    pub fn more(&self) -> Notified<'_> {
        self.more.notified()
    }

    /// Records that the log has grown; true when there is something to read.
    pub fn grown(&self, to: Seq) -> bool {
        let mut ring = self.lock();
        ring.known = ring.known.max(to);
        ring.known > ring.read
    }

    /// Records that the log may have grown.
    pub fn suspect(&self) {
        self.lock().suspect = true;
    }

    /// Records that no reader here asks for entries up to `position`, unless some were handed out
    /// already. A reader that does reads them from the log.
    pub fn start_at(&self, position: Seq) {
        let mut ring = self.lock();
        // Another reader may stand in the ring, and would lose these entries.
        if ring.entries.is_empty() {
            ring.known = ring.known.max(position);
            self.advance(ring, position);
        }
    }

    /// True when there is reason to read the log.
    pub fn is_behind(&self) -> bool {
        let ring = self.lock();
        ring.suspect || ring.known > ring.read
    }

    /// Entry after which to read the log, if there is reason to. Anything learned from now on is a
    /// new reason.
    pub fn read_position(&self) -> Option<Seq> {
        let mut ring = self.lock();
        let behind = std::mem::take(&mut ring.suspect) || ring.known > ring.read;
        ring.known_at_read = ring.known;
        behind.then_some(ring.read)
    }

    /// Adds entries read after the last one, and keeps `share` bytes of those before. `last` is the
    /// last entry of the log at that moment.
    pub fn fill(&self, entries: Vec<LogEntry>, last: Seq, share: u64) {
        let mut ring = self.lock();
        // Before adding: the new entries are for readers that have not come yet, whatever their size.
        ring.evict(RING_CAPACITY_ENTRIES, share);
        let mut read = ring.read;
        ring.known = ring.known.max(last);
        for entry in entries {
            // Rounds may overlap: entries that are known, or that leave a gap, are not added.
            if entry.seq == read.next() {
                read = entry.seq;
                ring.bytes += SizeEstimate::InMemory.entry(&entry);
                ring.entries.push_back(Arc::new(entry.into()));
            }
        }
        ring.evict(RING_CAPACITY_ENTRIES, RING_CAPACITY_BYTES);
        self.advance(ring, read);
    }

    /// Keeps `share` bytes.
    pub fn trim(&self, share: u64) {
        self.lock().evict(RING_CAPACITY_ENTRIES, share);
    }

    /// Records that a read found nothing new. If the log is known to have more, an entry is missing
    /// or cannot be read: readers are sent to the log, where each finds out for itself.
    pub fn found_nothing_new(&self) {
        let mut ring = self.lock();
        // Growth reported during the read is no proof; the next round reads again.
        if ring.known == ring.known_at_read && ring.known > ring.read {
            ring.entries.clear();
            ring.bytes = 0;
            let known = ring.known;
            self.advance(ring, known);
        }
    }

    /// Entries after a place.
    pub fn read_after(&self, position: Seq) -> RingRead {
        let ring = self.lock();
        if position >= ring.read {
            return RingRead::Nothing;
        }
        let first = ring.entries.front().map_or(ring.read.next(), |entry| entry.seq);
        if position.next() < first {
            return RingRead::Behind;
        }
        let passed = usize::try_from(position.next().0 - first.0).unwrap_or(usize::MAX);
        RingRead::Entries(ring.entries.iter().skip(passed).cloned().collect())
    }

    /// Moves `read` forwards. All readers come at once for new entries, so the ring is unlocked
    /// before they are notified.
    fn advance(&self, mut ring: MutexGuard<'_, Ring>, to: Seq) {
        let moves = ring.read < to;
        ring.read = to.max(ring.read);
        drop(ring);
        if moves {
            self.more.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// Drops the oldest entries until the rest fits.
    fn evict(&mut self, max_entries: usize, max_bytes: u64) {
        while self.entries.len() > max_entries || self.bytes > max_bytes {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(SizeEstimate::InMemory.entry(&entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{
        EntryBody, Message, MessageId, Note, Part, Role, Timestamp, log::UserMessage,
    };

    fn entries(from: i64, to: i64) -> Vec<LogEntry> {
        let entry = |seq| LogEntry {
            seq: Seq(seq),
            at: Timestamp::UNIX_EPOCH,
            attempt: 0,
            body: EntryBody::Note(Note::CancelRequested),
        };
        (from..=to).map(entry).collect()
    }

    #[test]
    fn a_reader_gets_the_entries_after_its_place() {
        let topic = Topic::new(Seq(1));
        assert!(topic.grown(Seq(3)));
        assert_eq!(topic.read_position(), Some(Seq(1)));
        topic.fill(entries(2, 3), Seq(3), RING_CAPACITY_BYTES);
        assert_eq!(topic.read_position(), None);
        let RingRead::Entries(found) = topic.read_after(Seq(2)) else { panic!("nothing found") };
        assert_eq!(found.len(), 1);
        assert!(matches!(topic.read_after(Seq(3)), RingRead::Nothing));
        assert!(matches!(topic.read_after(Seq(0)), RingRead::Behind));
    }

    #[test]
    fn a_reader_that_fell_out_of_the_ring_must_read_the_log() {
        let topic = Topic::new(Seq(0));
        topic.fill(entries(1, 300), Seq(300), RING_CAPACITY_BYTES);
        assert!(matches!(topic.read_after(Seq(10)), RingRead::Behind));
        let RingRead::Entries(found) = topic.read_after(Seq(44)) else { panic!("not in the ring") };
        assert_eq!(found.len(), 256);
    }

    #[test]
    fn growth_during_a_read_that_found_nothing_is_not_lost() {
        let topic = Topic::new(Seq(0));
        topic.suspect();
        assert_eq!(topic.read_position(), Some(Seq(0)));
        topic.grown(Seq(1));
        topic.found_nothing_new();
        assert_eq!(topic.read_position(), Some(Seq(0)));
        topic.found_nothing_new();
        assert_eq!(topic.read_position(), None);
    }

    #[test]
    fn entries_after_a_gap_are_not_added() {
        let topic = Topic::new(Seq(0));
        topic.fill(entries(2, 3), Seq(3), RING_CAPACITY_BYTES);
        assert!(matches!(topic.read_after(Seq(0)), RingRead::Nothing));
        assert_eq!(topic.read_position(), Some(Seq(0)));
    }

    #[test]
    fn a_ring_drops_old_entries_beyond_its_bytes() {
        let large = |seq| {
            let id = MessageId::new("m").unwrap();
            let part = Part::text("x".repeat(60_000));
            let message = Message::new(id, Role::User, vec![part]);
            let body = EntryBody::Message(UserMessage::new(message));
            LogEntry { seq: Seq(seq), at: Timestamp::UNIX_EPOCH, attempt: 0, body }
        };
        let topic = Topic::new(Seq(0));
        topic.fill((1..=100).map(large).collect(), Seq(100), RING_CAPACITY_BYTES);
        assert!(matches!(topic.read_after(Seq(50)), RingRead::Behind));
        let RingRead::Entries(found) = topic.read_after(Seq(90)) else { panic!("not in the ring") };
        assert_eq!(
            found.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(),
            [91, 92, 93, 94, 95, 96, 97, 98, 99, 100]
        );
    }

    #[test]
    fn rings_of_a_node_share_its_memory_and_never_drop_what_was_just_read() {
        assert_eq!(ring_share_bytes(0), RING_CAPACITY_BYTES);
        assert_eq!(ring_share_bytes(1_000) * 1_000, NODE_CAPACITY_BYTES / 1_000 * 1_000);
        assert_eq!(ring_share_bytes(1_000_000), MIN_SHARE_BYTES);
        let topic = Topic::new(Seq(0));
        for read in 0..20 {
            let (from, to) = (read * 10 + 1, read * 10 + 10);
            topic.fill(entries(from, to), Seq(to), 0);
            let RingRead::Entries(found) = topic.read_after(Seq(from - 1)) else {
                panic!("dropped before it was read")
            };
            assert_eq!(found.len(), 10);
        }
        assert!(matches!(topic.read_after(Seq(180)), RingRead::Behind));
        topic.trim(0);
        assert!(matches!(topic.read_after(Seq(199)), RingRead::Behind));
        assert!(matches!(topic.read_after(Seq(200)), RingRead::Nothing));
    }

    #[test]
    fn entries_that_no_reader_asks_for_are_not_read() {
        let topic = Topic::new(Seq(1));
        topic.grown(Seq(100_000));
        topic.start_at(Seq(100_000));
        assert_eq!(topic.read_position(), None);
        assert!(matches!(topic.read_after(Seq(100_000)), RingRead::Nothing));
        assert!(
            matches!(topic.read_after(Seq(1)), RingRead::Behind),
            "a reader of older entries reads the log"
        );
        topic.fill(entries(100_001, 100_002), Seq(100_002), RING_CAPACITY_BYTES);
        topic.start_at(Seq(100_005));
        assert!(
            matches!(topic.read_after(Seq(100_001)), RingRead::Entries(_)),
            "others have read these"
        );
    }

    #[test]
    fn readers_read_the_log_themselves_when_it_lacks_an_entry() {
        let topic = Topic::new(Seq(1));
        topic.grown(Seq(3));
        assert_eq!(topic.read_position(), Some(Seq(1)));
        topic.found_nothing_new();
        assert!(matches!(topic.read_after(Seq(1)), RingRead::Behind));
        assert_eq!(topic.read_position(), None, "the hub itself does not ask again");
    }
}
