//! Queries, their limits and their pages.

use crate::StoreError;
use longhaul_domain::{
    AgentName, ContextId, EntryBody, LogEntry, OwnerId, Seq, Task, TaskId, TaskState, Timestamp,
};

/// Contents of a snapshot besides the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Maximum number of recent messages, not counting the one in the status.
    pub history: u32,
    /// Includes artifacts.
    pub artifacts: bool,
    /// Maximum bytes of the snapshot.
    pub budget: ReadBudget,
}

/// Maximum bytes of stored bodies that may be read for one response, all its tasks together.
/// Statuses are small and do not count. A read over the budget fails with
/// [`StoreError::TooLarge`] before its bodies are loaded, so that no
/// reader holds much more than the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBudget {
    /// No limit.
    Unlimited,
    /// Fails above this many bytes.
    Strict(u64),
    /// Leaves out the oldest messages above this many bytes. If the messages of several tasks
    /// exceed it together, each task gets an equal share. Artifacts are never left out.
    TrimHistory(u64),
}

impl ReadBudget {
    /// Returns the number of bytes; `None`: unlimited.
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Strict(bytes) | Self::TrimHistory(bytes) => Some(bytes),
        }
    }

    /// Returns the rest of the budget after `taken` bytes, which are no more than it has.
    #[must_use]
    pub const fn without(self, taken: u64) -> Self {
        match self {
            Self::Unlimited => Self::Unlimited,
            // Stays at zero where an estimate was higher than what was left; the next read is refused.
            Self::Strict(bytes) => Self::Strict(bytes.saturating_sub(taken)),
            Self::TrimHistory(bytes) => Self::TrimHistory(bytes.saturating_sub(taken)),
        }
    }

    /// Returns the error of a read that exceeds the budget.
    pub fn exceeded(self) -> StoreError {
        StoreError::TooLarge { budget: self.bytes().unwrap_or(u64::MAX) }
    }
}

impl SnapshotOptions {
    /// Number of messages in a snapshot if the client gave none (A2A 3.2.4 leaves it to the
    /// server).
    pub const DEFAULT_HISTORY: u32 = 1_000;

    /// Everything.
    pub const ALL: Self =
        Self { history: Self::DEFAULT_HISTORY, artifacts: true, budget: ReadBudget::Unlimited };
    /// The status only.
    pub const STATUS: Self = Self { history: 0, artifacts: false, budget: ReadBudget::Unlimited };
}

/// Limits of one read of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Maximum number of entries, at least 1.
    pub rows: u32,
    /// Bytes of bodies after which the read stops; the entry that reaches them is the last.
    pub bytes: u64,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { rows: 500, bytes: 4 << 20 }
    }
}

/// Maximum bytes of the stored body of a message that comes with a claim.
pub const MAX_OPENING_BYTES: u64 = 64 << 10;

/// A request for one page of a task's messages, which are read from the newest to the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Reads only messages before this entry.
    pub before: Seq,
    /// Maximum number of messages, at least 1.
    pub rows: u32,
    /// Maximum bytes of stored bodies, but at least one message.
    pub bytes: u64,
}

/// A page of messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// Number and body of each entry, in the order of the log.
    pub entries: Vec<(Seq, EntryBody)>,
    /// Set if there are older messages.
    pub more: bool,
}

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Entries in order, without gaps.
    pub entries: Vec<LogEntry>,
    /// The last entry of the task at the time of the read.
    pub last_seq: Seq,
    /// State of the task at that time.
    pub state: TaskState,
}

/// Position of the next page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListCursor {
    /// Status time of the last task of the page before.
    pub status_at: Timestamp,
    /// Id of that task.
    pub task: TaskId,
    /// Number of matching tasks when the first page was read.
    pub total: u64,
}

/// A filter for tasks (A2A 3.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The owner.
    pub owner: OwnerId,
    /// One agent.
    pub agent: Option<AgentName>,
    /// One context (conversation).
    pub context: Option<ContextId>,
    /// One state.
    pub state: Option<TaskState>,
    /// Status at or after this time.
    pub status_from: Option<Timestamp>,
    /// Position of the page.
    pub after: Option<ListCursor>,
    /// Maximum number of tasks, 1 to 100.
    pub page_size: u32,
    /// Contents of each task.
    pub options: SnapshotOptions,
}

/// One page of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    /// Newest status first; tasks of the same time by descending id.
    pub tasks: Vec<Task>,
    /// Position of the next page, if there is one.
    pub next: Option<ListCursor>,
    /// Number of all matching tasks: exact up to 10,000, an estimate above.
    pub total: u64,
}
