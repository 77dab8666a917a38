//! What is read, and how much of it.

use crate::StoreError;
use longhaul_domain::{
    AgentName, ContextId, EntryBody, LogEntry, OwnerId, Seq, Task, TaskId, TaskState, Timestamp,
};

/// What a snapshot holds besides the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// At most this many of the most recent messages, the one in the status not counted.
    pub history: u32,
    /// Whether artifacts are read.
    pub artifacts: bool,
    /// How many bytes it may take.
    pub budget: ReadBudget,
}

/// How many bytes of stored bodies may be read for an answer, all its tasks together; the statuses, which are small, are not
/// counted. What is too large is refused with [`StoreError::TooLarge`](crate::StoreError::TooLarge) before it is read, so that
/// nobody holds much more than the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBudget {
    /// As many as there are.
    Unlimited,
    /// At most so many, and nothing is left out.
    Strict(u64),
    /// At most so many, and history gives way: the oldest messages are left out. Where the messages of several tasks are too
    /// large together, each task has an equal share. Artifacts are never left out.
    TrimHistory(u64),
}

impl ReadBudget {
    /// The number of bytes, where there is one.
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Strict(bytes) | Self::TrimHistory(bytes) => Some(bytes),
        }
    }

    /// What is left of it when so many bytes of it are taken; they are no more than it has.
    #[must_use]
    pub const fn without(self, taken: u64) -> Self {
        match self {
            Self::Unlimited => Self::Unlimited,
            Self::Strict(bytes) => Self::Strict(bytes.saturating_sub(taken)),
            Self::TrimHistory(bytes) => Self::TrimHistory(bytes.saturating_sub(taken)),
        }
    }

    /// What is said where there is not enough.
    pub fn exceeded(self) -> StoreError {
        StoreError::TooLarge { budget: self.bytes().unwrap_or(u64::MAX) }
    }
}

impl SnapshotOptions {
    /// How many messages a snapshot holds when nobody said how many (A2A 3.2.4 leaves it to the server).
    pub const DEFAULT_HISTORY: u32 = 1_000;

    /// Everything.
    pub const ALL: Self =
        Self { history: Self::DEFAULT_HISTORY, artifacts: true, budget: ReadBudget::Unlimited };
    /// The status only.
    pub const STATUS: Self = Self { history: 0, artifacts: false, budget: ReadBudget::Unlimited };
}

/// How much of a log is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most this many entries, at least 1.
    pub rows: u32,
    /// Stop behind the entry with which the bodies reach this many bytes.
    pub bytes: u64,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { rows: 500, bytes: 4 << 20 }
    }
}

/// Largest message that comes with a claim, in bytes of its stored body.
pub const MAX_OPENING_BYTES: u64 = 64 << 10;

/// A page of a task's messages, read from the newest to the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only messages before this place.
    pub before: Seq,
    /// At most this many messages, at least 1.
    pub rows: u32,
    /// At most this many bytes of stored bodies, but at least one message.
    pub bytes: u64,
}

/// Entries that hold messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// Place and body, in the order of the log.
    pub entries: Vec<(Seq, EntryBody)>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Some entries of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// In order, without gaps.
    pub entries: Vec<LogEntry>,
    /// The last entry of the task at the moment of reading.
    pub last_seq: Seq,
    /// The state at that moment.
    pub state: TaskState,
}

/// Where the next page of a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListCursor {
    /// Status time of the last task of the page before.
    pub status_at: Timestamp,
    /// Its id.
    pub task: TaskId,
    /// How many tasks matched when the first page was read.
    pub total: u64,
}

/// Which tasks to list (A2A 3.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Whose.
    pub owner: OwnerId,
    /// Of one agent.
    pub agent: Option<AgentName>,
    /// Of one conversation.
    pub context: Option<ContextId>,
    /// In one state.
    pub state: Option<TaskState>,
    /// With a status at or after this time.
    pub status_from: Option<Timestamp>,
    /// Behind this place.
    pub after: Option<ListCursor>,
    /// At most this many, 1 to 100.
    pub page_size: u32,
    /// What each holds.
    pub options: SnapshotOptions,
}

/// One page of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    /// Newest status first; of the same time, the highest id first.
    pub tasks: Vec<Task>,
    /// Where the next page begins, when there is one.
    pub next: Option<ListCursor>,
    /// How many match in all: exact up to 10,000, an estimate above.
    pub total: u64,
}
