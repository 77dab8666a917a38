//! The log of a task under test, and the rules for its entries.

use longhaul_domain::{
    AgentName, CheckpointName, ContextId, EntryBody, HistoryItem, Json, LogEntry, Message,
    MessageId, OwnerId, Part, Role, Seq, Task, TaskId, TaskKey, TaskState, Timestamp,
    log::{StatusChange, UserMessage},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A task with its log and checkpoints, as a store holds them.
#[derive(Debug, Clone)]
pub(super) struct TaskRecord {
    pub task: Task,
    pub entries: Vec<LogEntry>,
    pub checkpoints: BTreeMap<CheckpointName, Json>,
    pub attempt: i32,
    pub turn: i32,
    /// Output modes that the client's last message accepts.
    pub accepted_output_modes: Vec<String>,
}

impl TaskRecord {
    /// A new task without messages.
    pub fn new() -> Self {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(1)) };
        let agent = AgentName::new("under-test").expect("a valid name");
        let context = ContextId::from(Uuid::from_u128(2));
        let task = Task::begin(key, agent, context, Timestamp::UNIX_EPOCH);
        Self {
            task,
            entries: Vec::new(),
            checkpoints: BTreeMap::new(),
            attempt: 1,
            turn: 1,
            accepted_output_modes: Vec::new(),
        }
    }

    /// Checks and appends the next entry of the log.
    pub fn append(&mut self, body: EntryBody) {
        self.check(&body);
        let seq = self.task.last_seq.next();
        let at = Timestamp::UNIX_EPOCH + std::time::Duration::from_millis(seq.0.unsigned_abs());
        let attempt = if matches!(body, EntryBody::Message(_)) { 0 } else { self.attempt };
        let entry = LogEntry { seq, at, attempt, body };
        self.entries.push(entry.clone());
        self.task.apply(entry).expect("the entry has the next place");
    }

    /// All messages so far, in the order of the log.
    pub fn history(&self) -> Vec<HistoryItem> {
        let mut history = self.task.history.clone();
        let status = &self.task.status;
        history
            .extend(status.message.clone().map(|message| HistoryItem { seq: status.seq, message }));
        history.sort_by_key(|item| item.seq);
        history
    }

    /// Adds a message of the client.
    pub fn add_message(&mut self, message: Message) -> Seq {
        self.append(EntryBody::Message(UserMessage::new(message)));
        self.task.last_seq
    }

    /// Adds a later message of the client, which accepts any output mode.
    pub fn add_later_message(&mut self, message: Message) -> Seq {
        self.accepted_output_modes.clear();
        self.add_message(message)
    }

    /// Writes what the worker writes at the start of a run.
    pub fn begin_attempt(&mut self) {
        if self.task.status.state != TaskState::Working {
            self.append(EntryBody::Status(StatusChange::to(TaskState::Working)));
        }
    }

    /// Builds a message of the client from parts.
    pub fn message(&self, parts: Vec<Part>) -> Message {
        let id = format!("message-{}", self.task.last_seq.next());
        let id = MessageId::new(id).expect("a short text is an id");
        Message::new(id, Role::User, parts)
    }

    fn check(&self, body: &EntryBody) {
        match body {
            EntryBody::Status(change) => {
                let state = self.task.status.state;
                state.after(change.state.transition_to()).unwrap_or_else(|e| panic!("{e}"));
            }
            EntryBody::Artifact(update) => {
                let id = &update.artifact.artifact_id;
                let exists = self.task.artifacts.iter().any(|a| a.artifact_id == *id);
                assert!(!update.artifact.parts.is_empty(), "{id}: a chunk without parts");
                assert!(
                    !update.append || exists,
                    "{id}: appended to an artifact that is not there"
                );
            }
            EntryBody::Message(_) | EntryBody::Note(_) => {}
        }
    }
}
