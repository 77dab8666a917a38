//! Results and events as a client receives them. They hold less than the server has: no owner and
//! no log positions. Ids are those of whatever server answered.

use crate::TaskRef;
use longhaul_domain::{
    Artifact, ContextId, JsonObject, Message, Task, TaskState, TaskStatus, Timestamp,
};

/// Status of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedStatus {
    /// State of the task.
    pub state: TaskState,
    /// Message of the agent with this status.
    pub message: Option<Message>,
    /// Time of the change.
    pub at: Option<Timestamp>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedTask {
    /// Task id.
    pub id: TaskRef,
    /// Context of the task.
    pub context: Option<ContextId>,
    /// Current status.
    pub status: ReceivedStatus,
    /// Artifacts produced so far.
    pub artifacts: Vec<Artifact>,
    /// Messages of both sides.
    pub history: Vec<Message>,
    /// Metadata of the task.
    pub metadata: Option<JsonObject>,
}

/// A status event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedStatusUpdate {
    /// Task that changed.
    pub task: TaskRef,
    /// Context of the task.
    pub context: Option<ContextId>,
    /// New status.
    pub status: ReceivedStatus,
    /// Metadata of the event.
    pub metadata: Option<JsonObject>,
}

/// An artifact event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedArtifact {
    /// Task that owns the artifact.
    pub task: TaskRef,
    /// Context of the task.
    pub context: Option<ContextId>,
    /// Artifact, or a chunk of one.
    pub update: longhaul_domain::ArtifactUpdate,
}

/// Result of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceivedSend {
    /// Current task.
    Task(Box<ReceivedTask>),
    /// Direct reply.
    Message(Message),
}

/// One frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceivedEvent {
    /// Snapshot of the task.
    Task(Box<ReceivedTask>),
    /// Direct reply.
    Message(Message),
    /// Status change.
    Status(ReceivedStatusUpdate),
    /// Artifact, or a chunk of one.
    Artifact(ReceivedArtifact),
}

/// One page of a list of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedPage {
    /// Tasks, newest status first.
    pub tasks: Vec<ReceivedTask>,
    /// Token of the next page; empty on the last one.
    pub next_page_token: String,
    /// Applied page size.
    pub page_size: u32,
    /// Number of matching tasks.
    pub total_size: u32,
}

/// Status as a client sees it: the message carries the ids of the task.
fn received_status(task: &Task, status: &TaskStatus) -> ReceivedStatus {
    ReceivedStatus {
        state: status.state,
        message: status.message.as_ref().map(|message| with_task_ids(task, message)),
        at: Some(status.at),
    }
}

fn with_task_ids(task: &Task, message: &Message) -> Message {
    let mut message = message.clone();
    message.task_id.get_or_insert(task.key.task);
    message.context_id.get_or_insert_with(|| task.context.clone());
    message
}

impl From<&Task> for ReceivedTask {
    /// Converts a task to the client's view: its messages carry the ids of the task.
    fn from(task: &Task) -> Self {
        Self {
            id: task.key.task.into(),
            context: Some(task.context.clone()),
            status: received_status(task, &task.status),
            artifacts: task.artifacts.clone(),
            history: task.history.iter().map(|item| with_task_ids(task, &item.message)).collect(),
            metadata: task.metadata.clone(),
        }
    }
}
