//! The context of an attempt, and what can go wrong with one.

use crate::run_signals::StopReason;
use longhaul_domain::{ContextId, FailureKind, Message, TaskFailure, TaskId, Timestamp};
use longhaul_executor::{ExecutorFailure, RunPolicy};
use std::time::Duration;
use uuid::Uuid;

/// The facts about an attempt on which its settlement depends.
pub struct AttemptContext<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
    pub created_at: Timestamp,
    pub deadline: Option<Timestamp>,
    pub attempt: i32,
    /// The effective policy of this run.
    pub policy: RunPolicy,
    /// True when the agent may answer with a message.
    pub direct: bool,
    /// The reason for which the run was stopped.
    pub stop_reason: Option<StopReason>,
    /// The store's reason for refusing output.
    pub refusal: Option<String>,
    /// A fresh id for a message.
    pub message_id: Uuid,
    /// A random number in `0.0..1.0`, the jitter of a retry.
    pub random: f64,
}

/// The error of a failed attempt.
pub struct AttemptError {
    /// The kind of the task's failure, should this attempt be the last.
    pub kind: FailureKind,
    pub cause: String,
    /// True when the cause is for operators only.
    pub for_operators: bool,
    /// The executor's message to the client, should this attempt be the last.
    pub message: Option<Message>,
    pub retryable: bool,
    /// The retry delay that the executor asked for.
    pub retry_after: Option<Duration>,
}

impl AttemptError {
    /// The error of a failure that the executor returned.
    pub fn from_failure(failure: ExecutorFailure) -> Self {
        let ExecutorFailure { message, cause, for_operators, retryable, retry_after } = failure;
        let kind = if retryable { FailureKind::AttemptsUsedUp } else { FailureKind::Fatal };
        Self { kind, cause, for_operators, message, retryable, retry_after }
    }

    /// The error of an executor that panicked.
    pub fn panicked(panic_message: &str) -> Self {
        let cause = format!("the executor panicked: {panic_message}");
        Self::retryable(FailureKind::AttemptsUsedUp, cause)
    }

    /// The error of an attempt that exceeded its start-to-close timeout.
    pub fn attempt_timeout(context: &AttemptContext<'_>) -> Self {
        let limit = context.policy.timeout.as_secs_f64();
        let cause = format!("timed out: the attempt took longer than {limit} s (start-to-close)");
        Self::retryable(FailureKind::AttemptTimeout, cause)
    }

    /// The error of an attempt that exceeded its no-progress timeout.
    pub fn no_progress(context: &AttemptContext<'_>) -> Self {
        let limit = context.policy.no_progress.unwrap_or_default().as_secs_f64();
        let cause = format!(
            "timed out: the attempt showed no sign of progress for {limit} s (no-progress)"
        );
        Self::retryable(FailureKind::NoProgress, cause)
    }

    /// The error of a task whose deadline has passed; not retryable.
    pub fn deadline(context: &AttemptContext<'_>) -> Self {
        let mut cause = TaskFailure::deadline(context.attempt).cause;
        if let Some(deadline) = context.deadline {
            let allowed = (deadline - context.created_at).to_std().unwrap_or_default();
            let (at, allowed) = (deadline.format("%FT%T%.3fZ"), allowed.as_secs_f64());
            cause = format!("timed out: {cause}: {at}, {allowed} s after it was accepted");
        }
        Self { retryable: false, ..Self::retryable(FailureKind::Deadline, cause) }
    }

    const fn retryable(kind: FailureKind, cause: String) -> Self {
        Self {
            kind,
            cause,
            for_operators: false,
            message: None,
            retryable: true,
            retry_after: None,
        }
    }
}
