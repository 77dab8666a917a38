//! What a client receives. It is less than the server has: no owner, no places in the log; and ids are those of
//! whatever server answered.

use crate::request::TaskRef;
use longhaul_domain::{
    Artifact, ContextId, JsonObject, Message, Task, TaskState, TaskStatus, Timestamp,
};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedStatus {
    /// The state.
    pub state: TaskState,
    /// What the agent says with it.
    pub message: Option<Message>,
    /// Since when.
    pub at: Option<Timestamp>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedTask {
    /// Which.
    pub id: TaskRef,
    /// The conversation that it belongs to.
    pub context: Option<ContextId>,
    /// Where it stands.
    pub status: ReceivedStatus,
    /// What it has produced so far.
    pub artifacts: Vec<Artifact>,
    /// Messages of both sides.
    pub history: Vec<Message>,
    /// Anything else about it.
    pub metadata: Option<JsonObject>,
}

/// A status event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedStatusUpdate {
    /// Whose status.
    pub task: TaskRef,
    /// Its conversation.
    pub context: Option<ContextId>,
    /// The new status.
    pub status: ReceivedStatus,
    /// Anything else about this change.
    pub metadata: Option<JsonObject>,
}

/// An artifact event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedArtifact {
    /// Whose artifact.
    pub task: TaskRef,
    /// Its conversation.
    pub context: Option<ContextId>,
    /// The artifact, or a chunk of it.
    pub update: longhaul_domain::ArtifactUpdate,
}

/// Answer to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceivedSend {
    /// The task as it is.
    Task(Box<ReceivedTask>),
    /// A direct reply.
    Message(Message),
}

/// One frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceivedEvent {
    /// A snapshot.
    Task(Box<ReceivedTask>),
    /// A direct reply.
    Message(Message),
    /// The status changed.
    Status(ReceivedStatusUpdate),
    /// An artifact, or a chunk of it.
    Artifact(ReceivedArtifact),
}

/// One page of a list of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedPage {
    /// Newest status first.
    pub tasks: Vec<ReceivedTask>,
    /// Where the next page begins; empty at the end.
    pub next_page_token: String,
    /// The page size that was used.
    pub page_size: u32,
    /// How many tasks match.
    pub total_size: u32,
}

/// What a client sees of a status: its message carries the ids of the task.
fn status(task: &Task, status: &TaskStatus) -> ReceivedStatus {
    ReceivedStatus {
        state: status.state,
        message: status.message.as_ref().map(|message| placed(task, message)),
        at: Some(status.at),
    }
}

fn placed(task: &Task, message: &Message) -> Message {
    let mut message = message.clone();
    message.task_id.get_or_insert(task.key.task);
    message.context_id.get_or_insert_with(|| task.context.clone());
    message
}

impl From<&Task> for ReceivedTask {
    /// What a client sees of a task: messages in it carry its ids.
    fn from(task: &Task) -> Self {
        Self {
            id: task.key.task.into(),
            context: Some(task.context.clone()),
            status: status(task, &task.status),
            artifacts: task.artifacts.clone(),
            history: task.history.iter().map(|item| placed(task, &item.message)).collect(),
            metadata: task.metadata.clone(),
        }
    }
}
