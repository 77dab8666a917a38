//! The end of a run.

use crate::{ExecutorError, InvalidOutput, OutputStopped, check};
use longhaul_domain::{Message, TaskState};
use std::time::Duration;

/// The result of a run. Its message becomes the message of the task's status (A2A 4.1.2).
///
/// [`TaskContext`](crate::TaskContext) has a method for each outcome that takes a text, such as
/// [`completed`](crate::TaskContext::completed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The task is done.
    Completed(Option<Message>),
    /// The attempt failed.
    Failed(ExecutorFailure),
    /// The agent declines the task.
    Rejected(Option<Message>),
    /// The task is parked until the client says more.
    InputRequired(Message),
    /// The task is parked until an authorization arrives.
    AuthRequired(Message),
    /// The answer is a message instead of a task (A2A 3.1.1). Only for agents registered as
    /// `direct`. When no client waits for the message, it becomes the status message of the
    /// completed task.
    Direct(Message),
    /// The run noticed the cancellation and stopped.
    Canceled(Option<Message>),
}

/// A failed attempt.
///
/// ```
/// use longhaul_executor::prelude::*;
/// use std::time::Duration;
///
/// let busy = ExecutorFailure::retryable("503 from the model").retry_after(Duration::from_secs(30));
/// assert!(busy.retryable && busy.retry_after.is_some());
/// let hopeless = ExecutorFailure::fatal("/srv/model.bin is missing").for_operators();
/// assert!(!hopeless.retryable && hopeless.for_operators);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorFailure {
    /// The message to the client when the failure is final.
    pub message: Option<Message>,
    /// The cause, for logs, notes about attempts and the list of dead letters.
    pub cause: String,
    /// Hides the cause from the client of a task that failed for good.
    pub for_operators: bool,
    /// True when another attempt may succeed.
    pub retryable: bool,
    /// The shortest delay before the next attempt, regardless of the backoff.
    pub retry_after: Option<Duration>,
}

impl ExecutorFailure {
    /// A failure that another attempt may overcome.
    pub fn retryable(cause: impl Into<String>) -> Self {
        Self {
            message: None,
            cause: cause.into(),
            for_operators: false,
            retryable: true,
            retry_after: None,
        }
    }

    /// A failure that every attempt would run into.
    pub fn fatal(cause: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::retryable(cause) }
    }

    /// Sets the message to the client.
    #[must_use]
    pub fn with_message(mut self, message: Message) -> Self {
        self.message = Some(message);
        self
    }

    /// Hides the cause from the client.
    #[must_use]
    pub const fn for_operators(mut self) -> Self {
        self.for_operators = true;
        self
    }

    /// Sets the shortest delay before the next attempt.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl Outcome {
    /// The state of the task if nothing follows: no other attempt and no unread message.
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

    /// The message to the client.
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

    /// Checks that the message can be stored.
    ///
    /// # Errors
    /// The message is empty, too large, or holds text that cannot be stored.
    pub fn check(&self) -> Result<(), InvalidOutput> {
        self.message().map_or(Ok(()), check::message)
    }

    /// Interprets the result of [`Executor::execute`](crate::Executor::execute). An error, and an
    /// outcome that cannot be stored, become failures.
    ///
    /// # Errors
    /// The run ended because it was stopped.
    pub fn from_result(result: Result<Self, ExecutorError>) -> Result<Self, OutputStopped> {
        match result {
            Ok(outcome) => Ok(match outcome.check() {
                Ok(()) => outcome,
                // Final: another attempt would most likely end with the same message.
                Err(invalid) => Self::Failed(ExecutorFailure::fatal(format!(
                    "the executor ended with something that cannot be kept: {invalid}"
                ))),
            }),
            // A stop that an executor passed on with `?` is not a failure of the task.
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
