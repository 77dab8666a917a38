//! How a run ends.

use crate::{ExecutorError, InvalidOutput, OutputStopped, check};
use longhaul_domain::{Message, TaskState};
use std::time::Duration;

/// How a run ended. A message in it becomes the message of the task's status (A2A 4.1.2); [`TaskContext`](crate::TaskContext)
/// has short ways to make each of them from a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Completed(Option<Message>),
    /// Not done.
    Failed(ExecutorFailure),
    /// The agent will not do this.
    Rejected(Option<Message>),
    /// The client must say more; the task is parked until it does.
    InputRequired(Message),
    /// An authorization is needed; the task is parked until it is there.
    AuthRequired(Message),
    /// The answer is a message and no task (A2A 3.1.1). Only for agents registered as `direct`; when nobody waits for it
    /// any more, it becomes the status message of the completed task.
    Direct(Message),
    /// The run saw the cancellation and stopped.
    Canceled(Option<Message>),
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorFailure {
    /// For the client, when the failure is final.
    pub message: Option<Message>,
    /// For operators: in logs, in notes about attempts, in the list of dead tasks.
    pub cause: String,
    /// Whether the cause is for operators alone: the client of a task that failed for good does not see it.
    pub for_operators: bool,
    /// Whether another attempt is worth while.
    pub retryable: bool,
    /// Not before this time from now, whatever the back-off says.
    pub retry_after: Option<Duration>,
}

impl ExecutorFailure {
    /// Another attempt may succeed.
    pub fn retryable(cause: impl Into<String>) -> Self {
        Self {
            message: None,
            cause: cause.into(),
            for_operators: false,
            retryable: true,
            retry_after: None,
        }
    }

    /// Every attempt would fail.
    pub fn fatal(cause: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::retryable(cause) }
    }

    /// What the client is told.
    #[must_use]
    pub fn with_message(mut self, message: Message) -> Self {
        self.message = Some(message);
        self
    }

    /// Keeps the cause from the client.
    #[must_use]
    pub const fn for_operators(mut self) -> Self {
        self.for_operators = true;
        self
    }

    /// When to try again at the earliest, from now.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl Outcome {
    /// The state that the task takes if nothing follows (no other attempt, no unread message).
    pub const fn state(&self) -> TaskState {
        match self {
            Self::Completed(_) | Self::Direct(_) => TaskState::Completed,
            Self::Failed(_) => TaskState::Failed,
            Self::Rejected(_) => TaskState::Rejected,
            Self::InputRequired(_) => TaskState::InputRequired,
            Self::AuthRequired(_) => TaskState::AuthRequired,
            Self::Canceled(_) => TaskState::Canceled,
        }
    }

    /// What is said with it.
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Completed(message) | Self::Rejected(message) | Self::Canceled(message) => {
                message.as_ref()
            }
            Self::Failed(failure) => failure.message.as_ref(),
            Self::InputRequired(message) | Self::AuthRequired(message) | Self::Direct(message) => {
                Some(message)
            }
        }
    }

    /// Whether what is said can be kept.
    pub fn check(&self) -> Result<(), InvalidOutput> {
        self.message().map_or(Ok(()), check::message)
    }

    /// What the end of a call means: an outcome that can be kept (an error and an outcome that cannot be kept are failures),
    /// or a run that merely stopped.
    pub fn from_result(result: Result<Self, ExecutorError>) -> Result<Self, OutputStopped> {
        match result {
            Ok(outcome) => Ok(match outcome.check() {
                Ok(()) => outcome,
                Err(invalid) => Self::Failed(ExecutorFailure::fatal(format!(
                    "the executor ended with something that cannot be kept: {invalid}"
                ))),
            }),
            Err(error) => match error.stopped() {
                Some(stopped) => Err(stopped),
                None => Ok(Self::Failed(error.into_failure())),
            },
        }
    }
}

impl From<ExecutorFailure> for Outcome {
    fn from(failure: ExecutorFailure) -> Self {
        Self::Failed(failure)
    }
}
