//! The output buffer of one run: entries and checkpoints that no append has taken yet.

use longhaul_domain::{Checkpoint, EntryBody};

/// Buffered entries from which the executor has to wait.
const MAX_BUFFERED_ENTRIES: usize = 256;

/// Buffered bytes from which the executor has to wait.
const MAX_BUFFERED_BYTES: usize = 1 << 20;

/// Bytes that every entry takes in the log besides its body.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// The output buffer of one run.
#[derive(Default)]
pub struct OutputBuffer {
    entries: Vec<EntryBody>,
    checkpoints: Vec<Checkpoint>,
    bytes: usize,
    /// True when the content should be written without waiting for more.
    pub urgent: bool,
    /// True when only the settlement takes content out.
    pub closed: bool,
    /// Entries and checkpoints emitted so far.
    pub emitted: u64,
    /// The part of `emitted` that is durable; a flush waits for this count.
    pub durable: u64,
    /// The last operation number used.
    pub op: i32,
    /// The store's reason for refusing the output.
    pub refusal: Option<String>,
}

/// The content taken out of a buffer, to be written in one append.
pub struct OutputBatch {
    pub entries: Vec<EntryBody>,
    pub checkpoints: Vec<Checkpoint>,
    /// The count of emitted items that are durable once this batch is written.
    pub durable_after: u64,
    pub op: i32,
}

impl OutputBuffer {
    /// The buffer of a run whose output begins with an opening entry.
    pub fn with_opening(opening: Option<EntryBody>) -> Self {
        let emitted = u64::from(opening.is_some());
        Self { entries: opening.into_iter().collect(), emitted, ..Self::default() }
    }

    /// True when the executor may emit without waiting.
    pub const fn has_room(&self) -> bool {
        self.entries.len() < MAX_BUFFERED_ENTRIES && self.bytes < MAX_BUFFERED_BYTES
    }

    /// Adds entries; they stay together in one append.
    pub fn add(&mut self, entries: Vec<EntryBody>, bytes: usize) {
        self.emitted += entries.len() as u64;
        self.bytes += bytes;
        self.entries.extend(entries);
        self.urgent = true;
    }

    /// Adds entries and a checkpoint; returns the durable count at which the commit is complete.
    pub fn commit(&mut self, entries: Vec<EntryBody>, bytes: usize, checkpoint: Checkpoint) -> u64 {
        self.add(entries, bytes);
        self.emitted += 1;
        self.bytes += checkpoint.value.as_str().len();
        // One append holds one value per checkpoint name: the last.
        self.checkpoints.retain(|earlier| earlier.name != checkpoint.name);
        self.checkpoints.push(checkpoint);
        self.emitted
    }

    /// True when there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.checkpoints.is_empty()
    }

    /// Takes everything out, under the next operation number.
    pub fn take(&mut self) -> OutputBatch {
        self.urgent = false;
        self.bytes = 0;
        self.op += 1;
        OutputBatch {
            entries: std::mem::take(&mut self.entries),
            checkpoints: std::mem::take(&mut self.checkpoints),
            durable_after: self.emitted,
            op: self.op,
        }
    }

    /// Discards the content: the store will never accept it.
    pub fn refuse(&mut self, reason: String) {
        self.refusal = Some(reason);
        self.entries.clear();
        self.checkpoints.clear();
    }
}

/// The approximate size of an entry in the log, in bytes.
pub fn stored_bytes(entry: &EntryBody) -> usize {
    ENTRY_OVERHEAD_BYTES + entry.stored_len()
}
