//! The latest entries of one awaited task.

use longhaul_domain::{LogEntry, Seq};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};
use tokio::sync::watch;

/// How many entries a ring keeps. One that is further behind reads the log.
const KEPT: usize = 256;

/// One awaited task.
pub struct Topic {
    /// How many subscriptions there are; changed only while the hub's list of topics is locked.
    pub readers: AtomicUsize,
    ring: Mutex<Ring>,
    /// The last entry that is in the ring, or was.
    read: watch::Sender<Seq>,
}

struct Ring {
    entries: VecDeque<Arc<LogEntry>>,
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
    Entries(Vec<Arc<LogEntry>>),
    /// Nothing new.
    Nothing,
    /// The reader is behind the ring and must read the log.
    Behind,
}

impl Topic {
    /// Of a task whose entries up to `after` nobody here asks for.
    pub fn new(after: Seq) -> Self {
        let ring =
            Ring { entries: VecDeque::new(), known: after, looked_for: after, suspect: false };
        Self {
            readers: AtomicUsize::new(0),
            ring: Mutex::new(ring),
            read: watch::Sender::new(after),
        }
    }

    /// A reader's view of what was read last.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.read.subscribe()
    }

    /// Notes that the log has grown; says whether there is something to read.
    pub fn grown(&self, to: Seq) -> bool {
        let mut ring = self.lock();
        ring.known = ring.known.max(to);
        ring.known > *self.read.borrow()
    }

    /// Notes that the log may have grown.
    pub fn suspect(&self) {
        self.lock().suspect = true;
    }

    /// Behind which entry to read, when there is reason to. What comes to be known from now on is a new reason.
    pub fn wanted(&self) -> Option<Seq> {
        let mut ring = self.lock();
        let read = *self.read.borrow();
        let wanted = std::mem::take(&mut ring.suspect) || ring.known > read;
        ring.looked_for = ring.known;
        wanted.then_some(read)
    }

    /// Takes in what was read behind the last entry. `last` is the last entry of the log at that moment.
    pub fn fill(&self, entries: Vec<LogEntry>, last: Seq) {
        let mut ring = self.lock();
        let mut read = *self.read.borrow();
        ring.known = ring.known.max(last);
        for entry in entries {
            if entry.seq == read.next() {
                read = entry.seq;
                ring.entries.push_back(Arc::new(entry));
            }
        }
        while ring.entries.len() > KEPT {
            ring.entries.pop_front();
        }
        drop(ring);
        self.read.send_if_modified(|now| std::mem::replace(now, read) != read);
    }

    /// Notes that a look at the log found nothing new.
    pub fn nothing_new(&self) {
        let mut ring = self.lock();
        if ring.known == ring.looked_for {
            ring.known = *self.read.borrow();
        }
    }

    /// What follows a place.
    pub fn after(&self, place: Seq) -> Found {
        let ring = self.lock();
        let read = *self.read.borrow();
        if place >= read {
            return Found::Nothing;
        }
        let first = ring.entries.front().map_or(read.next(), |entry| entry.seq);
        if place.next() < first {
            return Found::Behind;
        }
        Found::Entries(ring.entries.iter().filter(|entry| entry.seq > place).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{EntryBody, Note, Timestamp};

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
}
