//! Decides how a run is settled once its executor call has ended. The decision is pure.
//!
//! An executor that ends its task has ended it, even when it was told to stop in the meantime:
//! cancel and complete have one winner. Any other result of a stopped executor counts as its
//! response to the stop.

mod attempt;
mod retry;
#[cfg(test)]
mod tests;

pub use attempt::AttemptContext;

use crate::run_signals::StopReason;
use attempt::AttemptError;
use longhaul_domain::{
    EntryBody, FailureKind, Fence, Message, MessageId, Note, ParkedState, Seq, TaskFailure,
    TaskKey, TaskState, TerminalState, log::StatusChange,
};
use longhaul_executor::{ExecutorFailure, Outcome, OutputStopped};
use longhaul_store::{Append, Settle, SettleAs};
use retry::retry_delay;
use std::time::Duration;

/// The client's view of output that the store refused; the cause goes to the log.
pub const OUTPUT_NOT_STORED: &str = "the output of the executor cannot be stored";

/// Longest recorded cause: operators list a thousand at once.
const MAX_CAUSE_BYTES: usize = 16 << 10;

/// Longest cause in a log line; the task's log has the whole one.
const MAX_LOGGED_CAUSE_CHARS: usize = 2 << 10;

/// The end of an executor call.
#[derive(Debug, Clone)]
pub enum ExecutorExit {
    /// The executor returned.
    Returned(Result<Outcome, OutputStopped>),
    /// The executor panicked.
    Panicked(String),
    /// The executor was told to stop, did not in time, and was aborted.
    Abandoned,
}

/// The decision: how to settle, and the last entries to write.
#[derive(Debug, PartialEq)]
pub struct Settlement {
    pub how: SettleAs,
    pub last: Vec<EntryBody>,
}

/// The failure of an attempt, for a log event.
#[derive(Debug, Default, PartialEq)]
pub struct FailureReason {
    /// The kind of failure, when it is final.
    pub because: Option<FailureKind>,
    /// The cause, cut to [`MAX_LOGGED_CAUSE_CHARS`].
    pub cause: String,
}

impl Settlement {
    /// The failure to log; `None` when the attempt has not failed.
    pub fn failure_reason(&self) -> Option<FailureReason> {
        let (because, cause) = self.last.iter().find_map(|entry| match entry {
            EntryBody::Note(Note::AttemptFailed { cause, .. }) => Some((None, cause)),
            EntryBody::Status(StatusChange { failed: Some(failed), .. }) => {
                Some((Some(failed.because), &failed.cause))
            }
            _ => None,
        })?;
        let cause = cause.chars().take(MAX_LOGGED_CAUSE_CHARS).collect();
        Some(FailureReason { because, cause })
    }

    fn end(state: TerminalState, message: Option<Message>) -> Self {
        let change = StatusChange::with(state.state(), message);
        Self { how: SettleAs::End(state), last: vec![EntryBody::Status(change)] }
    }

    fn park(state: ParkedState, message: Message) -> Self {
        let change = StatusChange::with(state.state(), Some(message));
        Self { how: SettleAs::Park(state), last: vec![EntryBody::Status(change)] }
    }

    fn direct(message: Message) -> Self {
        let change = StatusChange::with(TaskState::Completed, Some(message));
        let change = StatusChange { direct: true, ..change };
        let last = vec![EntryBody::Status(change)];
        Self { how: SettleAs::End(TerminalState::Completed), last }
    }

    fn retry(delay: Duration, cause: &str, context: &AttemptContext<'_>) -> Self {
        let note = Note::AttemptFailed {
            attempt: context.attempt,
            // No store can keep a U+0000.
            cause: cause.replace('\0', "\u{fffd}"),
            retry_in_ms: i64::try_from(delay.as_millis()).unwrap_or(i64::MAX),
        };
        Self { how: SettleAs::Retry(delay), last: vec![EntryBody::Note(note)] }
    }

    fn fail(error: AttemptError, context: &AttemptContext<'_>) -> Self {
        let failure = TaskFailure::new(error.kind, &error.cause, context.attempt);
        let id = || MessageId::from(context.message_id);
        let status = if error.for_operators {
            TaskFailure::status_without_cause
        } else {
            TaskFailure::status
        };
        let last = vec![status(failure, context.task, context.context, error.message, id)];
        Self { how: SettleAs::End(TerminalState::Failed), last }
    }

    const fn release() -> Self {
        Self { how: SettleAs::Release, last: Vec::new() }
    }
}

/// The request that releases a run, without output and whatever was written of it before.
pub const fn release_request(key: TaskKey, fence: Fence, attempt: i32) -> Settle {
    let output = Append {
        key,
        fence,
        // Above every operation number of the run.
        op: i32::MAX,
        attempt,
        entries: Vec::new(),
        blobs: Vec::new(),
        checkpoints: Vec::new(),
    };
    Settle { how: SettleAs::Release, read_up_to: Seq::START, output }
}

/// Decides the settlement. `None`: the lease is lost, and nothing may be written.
pub fn decide(exit: ExecutorExit, context: &AttemptContext<'_>) -> Option<Settlement> {
    if context.stop_reason == Some(StopReason::LeaseLost) {
        return None;
    }
    if let Some(refusal) = &context.refusal {
        tracing::error!(cause = refusal, "task fails: output refused by the store");
        let failure = ExecutorFailure::fatal(OUTPUT_NOT_STORED);
        return Some(retry_or_fail(AttemptError::from_failure(failure), context));
    }
    let exit = fail_forbidden_direct(exit, context);
    Some(match context.stop_reason {
        Some(reason) if !is_final(&exit) => settle_stopped(reason, exit, context),
        _ => settle_exit(exit, context),
    })
}

/// Turns the message of an agent that is not `direct` into a failure.
fn fail_forbidden_direct(exit: ExecutorExit, context: &AttemptContext<'_>) -> ExecutorExit {
    match exit {
        ExecutorExit::Returned(Ok(Outcome::Direct(_))) if !context.direct => {
            ExecutorExit::Returned(Ok(Outcome::Failed(ExecutorFailure::fatal(
                "the executor answered with a message, but its agent is not registered as `direct`",
            ))))
        }
        exit => exit,
    }
}

/// True when the executor has ended the task, which a stop does not change.
const fn is_final(exit: &ExecutorExit) -> bool {
    matches!(
        exit,
        ExecutorExit::Returned(Ok(Outcome::Completed(_)
            | Outcome::Rejected(_)
            | Outcome::Direct(_)))
    )
}

const fn is_park(exit: &ExecutorExit) -> bool {
    matches!(exit, ExecutorExit::Returned(Ok(Outcome::InputRequired(_) | Outcome::AuthRequired(_))))
}

/// The settlement of a run by its exit alone.
fn settle_exit(exit: ExecutorExit, context: &AttemptContext<'_>) -> Settlement {
    match exit {
        ExecutorExit::Returned(Ok(outcome)) => settle_outcome(outcome, context),
        ExecutorExit::Panicked(panic_message) => {
            retry_or_fail(AttemptError::panicked(&panic_message), context)
        }
        // Nothing is wrong with the task: it runs again, here or elsewhere.
        ExecutorExit::Returned(Err(OutputStopped::Interrupted | OutputStopped::Unavailable)) => {
            Settlement::release()
        }
        ExecutorExit::Abandoned | ExecutorExit::Returned(Err(_)) => {
            let failure = ExecutorFailure::retryable("the executor stopped without being asked to");
            retry_or_fail(AttemptError::from_failure(failure), context)
        }
    }
}

fn settle_outcome(outcome: Outcome, context: &AttemptContext<'_>) -> Settlement {
    match outcome {
        Outcome::Completed(message) => Settlement::end(TerminalState::Completed, message),
        Outcome::Rejected(message) => Settlement::end(TerminalState::Rejected, message),
        Outcome::Direct(message) => Settlement::direct(message),
        Outcome::Canceled(message) => Settlement::end(TerminalState::Canceled, message),
        Outcome::InputRequired(message) => Settlement::park(ParkedState::InputRequired, message),
        Outcome::AuthRequired(message) => Settlement::park(ParkedState::AuthRequired, message),
        Outcome::Failed(failure) => retry_or_fail(AttemptError::from_failure(failure), context),
    }
}

/// The settlement of a run that was stopped and whose executor has not ended the task.
fn settle_stopped(
    reason: StopReason,
    exit: ExecutorExit,
    context: &AttemptContext<'_>,
) -> Settlement {
    match reason {
        StopReason::Canceled => Settlement::end(TerminalState::Canceled, cancel_message(exit)),
        StopReason::Deadline => retry_or_fail(AttemptError::deadline(context), context),
        // A late question is still a question; the run that follows its answer has its own limits.
        StopReason::AttemptTimeout | StopReason::NoProgress if is_park(&exit) => {
            settle_exit(exit, context)
        }
        StopReason::AttemptTimeout => {
            retry_or_fail(AttemptError::attempt_timeout(context), context)
        }
        StopReason::NoProgress => retry_or_fail(AttemptError::no_progress(context), context),
        StopReason::Draining | StopReason::LeaseLost => match exit {
            exit if is_park(&exit) => settle_exit(exit, context),
            ExecutorExit::Returned(Ok(Outcome::Failed(failure))) if !failure.retryable => {
                retry_or_fail(AttemptError::from_failure(failure), context)
            }
            // It stopped on request: nothing is wrong with the task, and it was not canceled.
            _ => Settlement::release(),
        },
    }
}

/// The executor's message about a cancel that it has seen.
fn cancel_message(exit: ExecutorExit) -> Option<Message> {
    match exit {
        ExecutorExit::Returned(Ok(Outcome::Canceled(message))) => message,
        _ => None,
    }
}

/// The settlement of a failed attempt: a retry while attempts are left, else the task's failure.
fn retry_or_fail(mut error: AttemptError, context: &AttemptContext<'_>) -> Settlement {
    truncate_cause(&mut error.cause);
    match retry_delay(&error, context) {
        Some(delay) => Settlement::retry(delay, &error.cause, context),
        None => Settlement::fail(error, context),
    }
}

/// Cuts a cause to [`MAX_CAUSE_BYTES`], between two characters.
fn truncate_cause(cause: &mut String) {
    let Some(mut end) = (cause.len() > MAX_CAUSE_BYTES).then_some(MAX_CAUSE_BYTES) else { return };
    while !cause.is_char_boundary(end) {
        end -= 1;
    }
    cause.truncate(end);
    cause.push('…');
}
