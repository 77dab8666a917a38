//! The latest entries of one awaited task.

use super::entry::Entry;
use crate::weight::Count;
use longhaul_domain::{LogEntry, Seq};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};
use tokio::sync::{Notify, futures::Notified};

/// How many entries a ring keeps, and how many bytes of them. One that is further behind reads the log.
const KEPT: usize = 256;
const KEPT_BYTES: u64 = 1 << 20;

/// One awaited task.
pub struct Topic {
    /// How many subscriptions there are; changed only while the hub's list of topics is locked.
    pub readers: AtomicUsize,
    ring: Mutex<Ring>,
    /// Rung, for all readers, when there is more to read.
    more: Notify,
}

struct Ring {
    /// Without gaps; the last one is the one that was read last. May be empty, where that one alone was too large.
    entries: VecDeque<Arc<Entry>>,
    /// What they take.
    bytes: u64,
    /// The last entry that is in the ring, or was.
    read: Seq,
    /// The last entry that the log is known to have.
    known: Seq,
    /// What was known when the log was last looked at.
    looked_for: Seq,
    /// Whether the log is to be looked at, whatever is known.
    suspect: bool,
}

/// What a ring has for a reader.
pub enum Found {
    /// The next entries.
    Entries(Vec<Arc<Entry>>),
    /// Nothing new.
    Nothing,
    /// The reader is behind the ring and must read the log.
    Behind,
}

impl Topic {
    /// Of a task whose entries up to `after` nobody here asks for.
    pub fn new(after: Seq) -> Self {
        let ring = Ring {
            entries: VecDeque::new(),
            bytes: 0,
            read: after,
            known: after,
            looked_for: after,
            suspect: false,
        };
        Self { readers: AtomicUsize::new(0), ring: Mutex::new(ring), more: Notify::new() }
    }

    /// Ends when there is more than there was when it was made, whenever it is first polled.
    pub fn more(&self) -> Notified<'_> {
        self.more.notified()
    }

    /// Notes that the log has grown; says whether there is something to read.
    pub fn grown(&self, to: Seq) -> bool {
        let mut ring = self.lock();
        ring.known = ring.known.max(to);
        ring.known > ring.read
    }

    /// Notes that the log may have grown.
    pub fn suspect(&self) {
        self.lock().suspect = true;
    }

    /// Notes that nobody here asks for entries up to this one, unless some were handed out already. Whoever does, reads
    /// them from the log.
    pub fn start_at(&self, place: Seq) {
        let mut ring = self.lock();
        if ring.entries.is_empty() {
            ring.known = ring.known.max(place);
            self.advance(ring, place);
        }
    }

    /// Whether there is reason to read.
    pub fn is_behind(&self) -> bool {
        let ring = self.lock();
        ring.suspect || ring.known > ring.read
    }

    /// Behind which entry to read, when there is reason to. What comes to be known from now on is a new reason.
    pub fn wanted(&self) -> Option<Seq> {
        let mut ring = self.lock();
        let wanted = std::mem::take(&mut ring.suspect) || ring.known > ring.read;
        ring.looked_for = ring.known;
        wanted.then_some(ring.read)
    }

    /// Takes in what was read behind the last entry. `last` is the last entry of the log at that moment.
    pub fn fill(&self, entries: Vec<LogEntry>, last: Seq) {
        let mut ring = self.lock();
        let mut read = ring.read;
        ring.known = ring.known.max(last);
        for entry in entries {
            if entry.seq == read.next() {
                read = entry.seq;
                ring.bytes += Count::Held.entry(&entry);
                ring.entries.push_back(Arc::new(entry.into()));
            }
        }
        ring.evict();
        self.advance(ring, read);
    }

    /// Notes that a look at the log found nothing new. Where the log is known to have more, an entry cannot be read or is
    /// gone: the readers are sent to the log, each finds out for itself.
    pub fn nothing_new(&self) {
        let mut ring = self.lock();
        if ring.known == ring.looked_for && ring.known > ring.read {
            ring.entries.clear();
            ring.bytes = 0;
            let known = ring.known;
            self.advance(ring, known);
        }
    }

    /// What follows a place.
    pub fn after(&self, place: Seq) -> Found {
        let ring = self.lock();
        if place >= ring.read {
            return Found::Nothing;
        }
        let first = ring.entries.front().map_or(ring.read.next(), |entry| entry.seq);
        if place.next() < first {
            return Found::Behind;
        }
        let passed = usize::try_from(place.next().0 - first.0).unwrap_or(usize::MAX);
        Found::Entries(ring.entries.iter().skip(passed).cloned().collect())
    }

    /// Moves what was read forwards. All readers come at once for what is new: the ring is free again before they are rung.
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
    /// Forgets the oldest entries until the rest is small enough.
    fn evict(&mut self) {
        while self.entries.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(Count::Held.entry(&entry));
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
    fn a_reader_takes_what_follows_its_place() {
        let topic = Topic::new(Seq(1));
        assert!(topic.grown(Seq(3)));
        assert_eq!(topic.wanted(), Some(Seq(1)));
        topic.fill(entries(2, 3), Seq(3));
        assert_eq!(topic.wanted(), None);
        let Found::Entries(found) = topic.after(Seq(2)) else { panic!("nothing found") };
        assert_eq!(found.len(), 1);
        assert!(matches!(topic.after(Seq(3)), Found::Nothing));
        assert!(matches!(topic.after(Seq(0)), Found::Behind));
    }

    #[test]
    fn a_reader_that_fell_out_of_the_ring_must_read_the_log() {
        let topic = Topic::new(Seq(0));
        topic.fill(entries(1, 300), Seq(300));
        assert!(matches!(topic.after(Seq(10)), Found::Behind));
        let Found::Entries(found) = topic.after(Seq(44)) else { panic!("not in the ring") };
        assert_eq!(found.len(), 256);
    }

    #[test]
    fn growth_during_a_look_that_found_nothing_is_not_forgotten() {
        let topic = Topic::new(Seq(0));
        topic.suspect();
        assert_eq!(topic.wanted(), Some(Seq(0)));
        topic.grown(Seq(1));
        topic.nothing_new();
        assert_eq!(topic.wanted(), Some(Seq(0)));
        topic.nothing_new();
        assert_eq!(topic.wanted(), None);
    }

    #[test]
    fn entries_that_do_not_follow_are_left_for_later() {
        let topic = Topic::new(Seq(0));
        topic.fill(entries(2, 3), Seq(3));
        assert!(matches!(topic.after(Seq(0)), Found::Nothing));
        assert_eq!(topic.wanted(), Some(Seq(0)));
    }

    #[test]
    fn a_ring_forgets_old_entries_when_they_are_large() {
        let large = |seq| {
            let id = MessageId::new("m").unwrap();
            let part = Part::text("x".repeat(60_000));
            let message = Message::new(id, Role::User, vec![part]);
            let body = EntryBody::Message(UserMessage::new(message));
            LogEntry { seq: Seq(seq), at: Timestamp::UNIX_EPOCH, attempt: 0, body }
        };
        let topic = Topic::new(Seq(0));
        topic.fill((1..=100).map(large).collect(), Seq(100));
        assert!(matches!(topic.after(Seq(50)), Found::Behind));
        let Found::Entries(found) = topic.after(Seq(90)) else { panic!("not in the ring") };
        assert_eq!(
            found.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(),
            [91, 92, 93, 94, 95, 96, 97, 98, 99, 100]
        );
    }

    #[test]
    fn what_was_there_before_anybody_asked_is_not_read() {
        let topic = Topic::new(Seq(1));
        topic.grown(Seq(100_000));
        topic.start_at(Seq(100_000));
        assert_eq!(topic.wanted(), None);
        assert!(matches!(topic.after(Seq(100_000)), Found::Nothing));
        assert!(matches!(topic.after(Seq(1)), Found::Behind), "who asks for it reads the log");
        topic.fill(entries(100_001, 100_002), Seq(100_002));
        topic.start_at(Seq(100_005));
        assert!(matches!(topic.after(Seq(100_001)), Found::Entries(_)), "others stand here");
    }

    #[test]
    fn readers_are_sent_to_a_log_that_does_not_give_what_it_has() {
        let topic = Topic::new(Seq(1));
        topic.grown(Seq(3));
        assert_eq!(topic.wanted(), Some(Seq(1)));
        topic.nothing_new();
        assert!(matches!(topic.after(Seq(1)), Found::Behind));
        assert_eq!(topic.wanted(), None, "the hub itself does not ask again");
    }
}
