//! Appends and settles, encoded and waiting for their batch, and their outcomes.

use crate::entry::EncodedEntry;
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::{Append, Appended, SettleAs, Settled};

/// An append waiting for its batch.
#[derive(Debug)]
pub struct EncodedAppend {
    /// The request.
    pub append: Append,
    /// Encoded entries.
    pub entries: Vec<EncodedEntry>,
}

impl From<Append> for EncodedAppend {
    fn from(append: Append) -> Self {
        let entries = append.entries.iter().map(EncodedEntry::from).collect();
        Self { append, entries }
    }
}

impl EncodedAppend {
    /// Size in a batch, in bytes.
    pub fn weight(&self) -> usize {
        let blobs: usize = self.append.blobs.iter().map(|blob| blob.bytes.len()).sum();
        let kept: usize = self.append.checkpoints.iter().map(|c| c.value.as_str().len()).sum();
        self.entries.iter().map(EncodedEntry::weight).sum::<usize>() + blobs + kept + 200
    }
}

/// A settle waiting for its batch.
#[derive(Debug)]
pub struct EncodedSettle {
    /// Way in which the run ends.
    pub how: SettleAs,
    /// Last message that the executor has read.
    pub read_up_to: Seq,
    /// Output to append before the end.
    pub output: EncodedAppend,
}

/// A write of a run.
#[derive(Debug)]
pub enum RunWrite {
    /// Output.
    Append(EncodedAppend),
    /// End of the run.
    Settle(EncodedSettle),
}

/// Outcome of a write.
#[derive(Debug, Clone, Copy)]
pub enum WriteOutcome {
    /// Outcome of an append.
    Append(Appended),
    /// Outcome of a settle.
    Settle(Settled),
}

impl RunWrite {
    /// Output of the write, with its fence.
    pub const fn output(&self) -> &EncodedAppend {
        match self {
            Self::Append(output) => output,
            Self::Settle(ending) => &ending.output,
        }
    }

    /// Size in a batch, in bytes.
    pub fn weight(&self) -> usize {
        self.output().weight()
    }

    /// Task that it writes to.
    pub const fn key(&self) -> TaskKey {
        self.output().append.key
    }

    /// Outcome for a task that does not exist.
    pub const fn fenced_outcome(&self) -> WriteOutcome {
        match self {
            Self::Append(_) => WriteOutcome::Append(Appended::Fenced),
            Self::Settle(_) => WriteOutcome::Settle(Settled::Fenced),
        }
    }
}

impl WriteOutcome {
    /// Last sequence, if the write was found already done. An earlier attempt may have been
    /// committed before its growth was published.
    pub const fn already_done_at(self) -> Option<Seq> {
        match self {
            Self::Append(Appended::Already { last }) | Self::Settle(Settled::Already { last }) => {
                Some(last)
            }
            Self::Append(_) | Self::Settle(_) => None,
        }
    }

    /// Returns whether this call changed the task.
    pub const fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Append(Appended::Now { .. })
                | Self::Settle(Settled::Now { .. } | Settled::HandedBack { .. })
        )
    }
}
