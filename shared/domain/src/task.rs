//! Snapshots of tasks, and the fold of the log that yields them (A2A 4.1.1).

use crate::{
    AgentName, Artifact, ContextId, EntryBody, JsonObject, LogEntry, Message, Seq, TaskKey,
    TaskState, Timestamp, log::StatusChange,
};

/// The status of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    /// The state.
    pub state: TaskState,
    /// The agent's message with it.
    pub message: Option<Message>,
    /// The time of the change.
    pub at: Timestamp,
    /// The entry that set it; [`Seq::START`] for the initial status.
    pub seq: Seq,
}

impl StatusChange {
    /// The status after this change, once committed.
    pub fn status(self, seq: Seq, at: Timestamp) -> TaskStatus {
        TaskStatus { state: self.state, message: self.message, at, seq }
    }
}

/// A message in a task's history, with its position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The entry that holds it.
    pub seq: Seq,
    /// The message.
    pub message: Message,
}

/// A snapshot of a task at one position of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The owner and the id.
    pub key: TaskKey,
    /// The agent that runs it.
    pub agent: AgentName,
    /// The conversation.
    pub context: ContextId,
    /// The time of acceptance.
    pub created_at: Timestamp,
    /// The current status.
    pub status: TaskStatus,
    /// Messages of both sides in log order, except the one in `status`.
    pub history: Vec<HistoryItem>,
    /// The artifacts so far.
    pub artifacts: Vec<Artifact>,
    /// Further data about the task.
    pub metadata: Option<JsonObject>,
    /// The last entry included.
    pub last_seq: Seq,
}

/// The error of an entry that does not follow the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {got} does not follow entry {last}")]
pub struct SeqGap {
    /// The last entry included.
    pub last: Seq,
    /// The entry to apply.
    pub got: Seq,
}

impl Task {
    /// Creates a task without log entries.
    pub const fn begin(
        key: TaskKey,
        agent: AgentName,
        context: ContextId,
        created_at: Timestamp,
    ) -> Self {
        Self {
            key,
            agent,
            context,
            created_at,
            status: TaskStatus {
                state: TaskState::Submitted,
                message: None,
                at: created_at,
                seq: Seq::START,
            },
            history: Vec::new(),
            artifacts: Vec::new(),
            metadata: None,
            last_seq: Seq::START,
        }
    }

    /// Applies the next entry. At every position, a snapshot read from a store equals this fold
    /// over the log.
    pub fn apply(&mut self, entry: LogEntry) -> Result<(), SeqGap> {
        // A gap would silently break the promise that every snapshot equals its log.
        if entry.seq != self.last_seq.next() {
            return Err(SeqGap { last: self.last_seq, got: entry.seq });
        }
        self.last_seq = entry.seq;
        match entry.body {
            EntryBody::Message(user) => {
                self.history.push(HistoryItem { seq: entry.seq, message: user.message });
            }
            EntryBody::Status(change) => {
                let new = change.status(entry.seq, entry.at);
                let old = std::mem::replace(&mut self.status, new);
                // The status message joins the history once the next status replaces it.
                if let Some(message) = old.message {
                    // Messages may have arrived since the old status: insert by seq, do not append.
                    let index = self.history.partition_point(|item| item.seq < old.seq);
                    self.history.insert(index, HistoryItem { seq: old.seq, message });
                }
            }
            EntryBody::Artifact(update) => update.apply_to(&mut self.artifacts),
            // Notes are for operators and never show in a snapshot.
            EntryBody::Note(_) => {}
        }
        Ok(())
    }

    /// The client's last message.
    pub fn last_user_message(&self) -> Option<&HistoryItem> {
        self.history.iter().rev().find(|item| item.message.role == crate::Role::User)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageId, OwnerId, Part, Role, TaskId, log::UserMessage};
    use uuid::Uuid;

    fn message(id: &str, role: Role) -> Message {
        Message::new(MessageId::new(id).unwrap(), role, vec![Part::text(id)])
    }

    fn entry(seq: i64, body: EntryBody) -> LogEntry {
        LogEntry { seq: Seq(seq), at: Timestamp::UNIX_EPOCH, attempt: 1, body }
    }

    fn task() -> Task {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(7)) };
        Task::begin(
            key,
            AgentName::new("echo").unwrap(),
            ContextId::new("c").unwrap(),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn a_question_precedes_its_answer_in_the_history() {
        let mut task = task();
        let said = |id| EntryBody::Message(UserMessage::new(message(id, Role::User)));
        let asked =
            StatusChange::with(TaskState::InputRequired, Some(message("question", Role::Agent)));
        for (seq, body) in [
            (1, said("wish")),
            (2, EntryBody::Status(asked)),
            (3, said("answer")),
            (4, EntryBody::Status(StatusChange::to(TaskState::Submitted))),
        ] {
            task.apply(entry(seq, body)).unwrap();
        }
        let order: Vec<&str> =
            task.history.iter().map(|item| item.message.message_id.as_str()).collect();
        assert_eq!(order, ["wish", "question", "answer"]);
        assert_eq!(task.status.seq, Seq(4));
    }

    #[test]
    fn a_gap_is_rejected() {
        let change = EntryBody::Status(StatusChange::to(TaskState::Working));
        assert_eq!(task().apply(entry(2, change)), Err(SeqGap { last: Seq(0), got: Seq(2) }));
    }
}
