//! Results and events for clients, independent of the dialect. Large contents must be inline again
//! before serializing one of these.

use longhaul_domain::{
    ArtifactUpdate, ContextId, EntryBody, LogEntry, Message, Task, TaskId, TaskKey, Timestamp,
    log::StatusChange,
};

/// Result of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// Current task.
    Task(Box<Task>),
    /// Direct reply.
    Message(Message),
}

/// A status event (A2A 4.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// Task that changed.
    pub task: TaskId,
    /// Context of the task.
    pub context: ContextId,
    /// New status.
    pub change: StatusChange,
    /// Time of the change.
    pub at: Timestamp,
}

/// An artifact event (A2A 4.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactEvent {
    /// Task that owns the artifact.
    pub task: TaskId,
    /// Context of the task.
    pub context: ContextId,
    /// Artifact, or a chunk of one.
    pub update: ArtifactUpdate,
}

/// One frame of a stream (A2A 3.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// Snapshot of the task.
    Task(Box<Task>),
    /// Direct reply.
    Message(Message),
    /// Status change.
    Status(StatusEvent),
    /// Artifact, or a chunk of one.
    Artifact(ArtifactEvent),
}

impl StreamEvent {
    /// Event that clients see for a log entry; `None` for internal entries.
    pub fn from_entry(key: TaskKey, context: &ContextId, entry: &LogEntry) -> Option<Self> {
        // Checked first: bodies of internal entries must not be cloned.
        if !entry.body.is_event() {
            return None;
        }
        Self::from_owned_entry(key, context, entry.clone())
    }

    /// Converts like [`from_entry`](Self::from_entry), without copying the body.
    pub fn from_owned_entry(key: TaskKey, context: &ContextId, entry: LogEntry) -> Option<Self> {
        let (task, context) = (key.task, context.clone());
        match entry.body {
            EntryBody::Status(change) => {
                Some(Self::Status(StatusEvent { task, context, change, at: entry.at }))
            }
            EntryBody::Artifact(update) => {
                Some(Self::Artifact(ArtifactEvent { task, context, update }))
            }
            EntryBody::Message(_) | EntryBody::Note(_) => None,
        }
    }
}

/// One page of a list of tasks (A2A 3.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    /// Tasks, newest status first.
    pub tasks: Vec<Task>,
    /// Token of the next page; empty on the last one.
    pub next_page_token: String,
    /// Applied page size.
    pub page_size: u32,
    /// Number of matching tasks.
    pub total_size: u32,
    /// Set when the client asked for artifacts. The member is then present even without artifacts;
    /// otherwise it is absent.
    pub include_artifacts: bool,
}

/// Keeps the most recent messages of the history (A2A 3.2.4): `None` keeps all, 0 none.
pub fn trim_history(task: &mut Task, length: Option<u32>) {
    let Some(length) = length else { return };
    let keep = usize::try_from(length).unwrap_or(usize::MAX);
    let surplus = task.history.len().saturating_sub(keep);
    // History is in log order, so the oldest messages come first.
    task.history.drain(..surplus);
}
