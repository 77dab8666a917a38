//! Why a task failed: the same words wherever it is decided, in a worker or in a store.

use crate::{
    ContextId, EntryBody, Json, JsonObject, Message, MessageId, Part, Role, TaskId, TaskState,
    extension, log::StatusChange,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is known of a failure that is final. Tasks that have one are listed as dead until somebody redrives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure {
    /// What kind of failure it is.
    pub because: FailureKind,
    /// For operators, without U+0000.
    pub cause: String,
    /// How many attempts there were.
    pub attempts: i32,
}

/// Kinds of final failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The executor said that no attempt can succeed.
    Fatal,
    /// The last of the attempts failed.
    AttemptsUsedUp,
    /// Too many workers in a row were lost while they ran it.
    Poison,
    /// It was not started in time after it had become runnable.
    QueueTimeout,
    /// The last attempt took too long.
    AttemptTimeout,
    /// The last attempt showed no sign of progress for too long.
    NoProgress,
    /// It had not ended when its deadline came.
    Deadline,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Fatal,
        Self::AttemptsUsedUp,
        Self::Poison,
        Self::QueueTimeout,
        Self::AttemptTimeout,
        Self::NoProgress,
        Self::Deadline,
    ];

    /// The name, as in `queue-timeout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::AttemptsUsedUp => "attempts-used-up",
            Self::Poison => "poison",
            Self::QueueTimeout => "queue-timeout",
            Self::AttemptTimeout => "attempt-timeout",
            Self::NoProgress => "no-progress",
            Self::Deadline => "deadline",
        }
    }

    /// The number that stands for it in a store. Never changes.
    pub const fn number(self) -> i16 {
        match self {
            Self::Fatal => 1,
            Self::AttemptsUsedUp => 2,
            Self::Poison => 3,
            Self::QueueTimeout => 4,
            Self::AttemptTimeout => 5,
            Self::NoProgress => 6,
            Self::Deadline => 7,
        }
    }

    /// The kind of a number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The cause that clients read where the real one is for operators alone.
pub const WITHHELD_CAUSE: &str =
    "the agent failed; its operator finds the cause in the log and among the dead letters";

impl TaskFailure {
    /// A failure with a cause; what cannot be kept of the cause is replaced.
    pub fn new(because: FailureKind, cause: &str, attempts: i32) -> Self {
        Self { because, cause: cause.replace('\0', "\u{fffd}"), attempts }
    }

    /// Of a task whose deadline has come.
    pub fn deadline(attempts: i32) -> Self {
        Self::new(FailureKind::Deadline, "the deadline of the task has passed", attempts)
    }

    /// Of a task that nobody started in time.
    pub fn queue_timeout(attempts: i32) -> Self {
        let cause = "timed out in the queue: no worker started the task in time";
        Self::new(FailureKind::QueueTimeout, cause, attempts)
    }

    /// Of a task that has cost too many workers.
    pub fn poison(losses: i32, attempts: i32) -> Self {
        let cause =
            format!("quarantined: {losses} workers in a row were lost while they ran the task");
        Self::new(FailureKind::Poison, &cause, attempts)
    }

    /// The final status: with the executor's message or else one that gives the cause, and what is known in the
    /// message's metadata under [`extension::DURABILITY_EXTENSION`] (`because`, `cause`, `attempts`).
    pub fn status(
        self,
        task: TaskId,
        context: &ContextId,
        message: Option<Message>,
        id: impl FnOnce() -> MessageId,
    ) -> EntryBody {
        let mut message = message.unwrap_or_else(|| Message {
            task_id: Some(task),
            context_id: Some(context.clone()),
            ..Message::new(id(), Role::Agent, vec![Part::text(self.cause.clone())])
        });
        message.metadata = self.with_facts(message.metadata);
        let change = StatusChange::with(TaskState::Failed, Some(message));
        EntryBody::Status(StatusChange { failed: Some(self), ..change })
    }

    /// The same, but the cause stays between operators: the client reads [`WITHHELD_CAUSE`] in its place.
    pub fn status_without_cause(
        self,
        task: TaskId,
        context: &ContextId,
        message: Option<Message>,
        id: impl FnOnce() -> MessageId,
    ) -> EntryBody {
        let said = Self { cause: WITHHELD_CAUSE.to_owned(), ..self.clone() };
        match said.status(task, context, message, id) {
            EntryBody::Status(change) => {
                EntryBody::Status(StatusChange { failed: Some(self), ..change })
            }
            other => other,
        }
    }

    /// Adds what is known to metadata.
    fn with_facts(&self, metadata: Option<JsonObject>) -> Option<JsonObject> {
        let mut members =
            metadata.as_ref().and_then(|members| members.members().ok()).unwrap_or_default();
        let Ok(facts) = Json::from_serialize(self) else { return metadata };
        members.insert(extension::DURABILITY_EXTENSION.to_owned(), facts);
        JsonObject::from_members(&members).ok().or(metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn kinds_keep_their_names_and_numbers() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_number(kind.number()), Some(kind));
            assert_eq!(FailureKind::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!(FailureKind::from_number(0), None);
    }

    #[test]
    fn a_final_status_says_what_happened() {
        let context = ContextId::new("c").unwrap();
        let id = || MessageId::new("m").unwrap();
        let task = TaskId::new(Uuid::from_u128(1));
        let failed = TaskFailure::new(FailureKind::Fatal, "no\0such file", 2);
        let EntryBody::Status(change) = failed.status(task, &context, None, id) else { panic!() };
        let message = change.message.unwrap();
        assert_eq!(message.text(), "no\u{fffd}such file");
        let facts = message.metadata.unwrap().get(extension::DURABILITY_EXTENSION).unwrap();
        assert_eq!(
            facts.as_str(),
            "{\"because\":\"fatal\",\"cause\":\"no\u{fffd}such file\",\"attempts\":2}"
        );
        assert_eq!(change.failed.unwrap().because, FailureKind::Fatal);
    }
}
