//! What was emitted and is not on its way yet.

use longhaul_domain::{Checkpoint, EntryBody};

/// Entries and bytes that may wait before the executor has to.
pub const MAX_ENTRIES: usize = 256;
const MAX_BYTES: usize = 1 << 20;

/// The buffer of one run.
#[derive(Default)]
pub struct Buffer {
    entries: Vec<EntryBody>,
    checkpoints: Vec<Checkpoint>,
    bytes: usize,
    /// Whether what is here is to be written now.
    pub urgent: bool,
    /// Whether only the end of the run takes anything out.
    pub closed: bool,
    /// Counts what was ever emitted and ever written, so that a flush knows when it is done.
    pub emitted: u64,
    pub durable: u64,
    /// The last operation number used.
    pub op: i32,
    /// Why the store refused what was emitted, if it did.
    pub refused: Option<String>,
}

/// What was taken out to be written in one step.
pub struct Taken {
    pub entries: Vec<EntryBody>,
    pub checkpoints: Vec<Checkpoint>,
    /// Up to here everything is durable once it is written.
    pub upto: u64,
    pub op: i32,
}

impl Buffer {
    /// Of a run that begins with an entry.
    pub fn of(opening: Option<EntryBody>) -> Self {
        let emitted = u64::from(opening.is_some());
        Self { entries: opening.into_iter().collect(), emitted, ..Self::default() }
    }

    /// Whether more may be emitted.
    pub const fn has_room(&self) -> bool {
        self.entries.len() < MAX_ENTRIES && self.bytes < MAX_BYTES
    }

    /// Puts entries in, which stay together.
    pub fn add(&mut self, entries: Vec<EntryBody>, bytes: usize) {
        self.emitted += entries.len() as u64;
        self.bytes += bytes;
        self.entries.extend(entries);
        self.urgent = true;
    }

    /// Puts entries and a checkpoint in; gives the place up to which everything must be durable then.
    pub fn commit(&mut self, entries: Vec<EntryBody>, bytes: usize, checkpoint: Checkpoint) -> u64 {
        self.add(entries, bytes);
        self.emitted += 1;
        self.bytes += checkpoint.value.as_str().len();
        // In one step a name has one value: the last.
        self.checkpoints.retain(|earlier| earlier.name != checkpoint.name);
        self.checkpoints.push(checkpoint);
        self.emitted
    }

    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.checkpoints.is_empty()
    }

    /// Takes everything out, under the next operation number.
    pub fn take(&mut self) -> Taken {
        self.urgent = false;
        self.bytes = 0;
        self.op += 1;
        Taken {
            entries: std::mem::take(&mut self.entries),
            checkpoints: std::mem::take(&mut self.checkpoints),
            upto: self.emitted,
            op: self.op,
        }
    }

    /// The store will never take this output.
    pub fn refuse(&mut self, why: String) {
        self.refused = Some(why);
        self.entries.clear();
        self.checkpoints.clear();
    }
}

/// About how many bytes an entry takes in the log.
pub fn weight(entry: &EntryBody) -> usize {
    64 + entry.stored_len()
}
