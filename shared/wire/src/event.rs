//! What goes back to a client, whatever dialect it speaks. Large contents must have been put back inline before any of
//! these is written.

use longhaul_domain::{
    ArtifactUpdate, ContextId, EntryBody, LogEntry, Message, Task, TaskId, TaskKey, Timestamp,
    log::StatusChange,
};

/// Answer to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The task as it is.
    Task(Box<Task>),
    /// A direct reply.
    Message(Message),
}

/// A status event (A2A 4.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// Whose status.
    pub task: TaskId,
    /// Its conversation.
    pub context: ContextId,
    /// The new status.
    pub change: StatusChange,
    /// Since when.
    pub at: Timestamp,
}

/// An artifact event (A2A 4.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactEvent {
    /// Whose artifact.
    pub task: TaskId,
    /// Its conversation.
    pub context: ContextId,
    /// The artifact, or a chunk of it.
    pub update: ArtifactUpdate,
}

/// One frame of a stream (A2A 3.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// A snapshot.
    Task(Box<Task>),
    /// A direct reply.
    Message(Message),
    /// The status changed.
    Status(StatusEvent),
    /// An artifact, or a chunk of it.
    Artifact(ArtifactEvent),
}

impl StreamEvent {
    /// The event that clients see because of an entry of the log; none for what is not shown.
    pub fn from_entry(key: TaskKey, context: &ContextId, entry: &LogEntry) -> Option<Self> {
        // Asked first, so that bodies which are not shown are not copied.
        if !entry.body.is_event() {
            return None;
        }
        Self::from_owned_entry(key, context, entry.clone())
    }

    /// As [`from_entry`](Self::from_entry), without copying the body.
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
    /// Newest status first.
    pub tasks: Vec<Task>,
    /// Where the next page begins; empty at the end.
    pub next_page_token: String,
    /// The page size that was used.
    pub page_size: u32,
    /// How many tasks match.
    pub total_size: u32,
    /// Whether artifacts were asked for: they are then shown even where there are none, and else left out.
    pub include_artifacts: bool,
}

/// Keeps the most recent messages of the history (A2A 3.2.4): `None` all, 0 none.
pub fn trim_history(task: &mut Task, length: Option<u32>) {
    let Some(length) = length else { return };
    let keep = usize::try_from(length).unwrap_or(usize::MAX);
    let surplus = task.history.len().saturating_sub(keep);
    task.history.drain(..surplus);
}
