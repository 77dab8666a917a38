//! What the end of an executor's call means for its task: a pure decision.
//!
//! An executor that ends its task has ended it, whatever it was told meanwhile: cancel and complete have one winner. What it
//! says otherwise after it was told to stop is taken for the answer to that.

mod failed;
#[cfg(test)]
mod table;

pub use failed::NOT_STORED;

use crate::why::Why;
use failed::{Fault, failed};
use longhaul_domain::{
    ContextId, EntryBody, FailureKind, Message, Note, ParkedState, TaskId, TaskState,
    TerminalState, Timestamp, log::StatusChange,
};
use longhaul_executor::{ExecutorFailure, Outcome, OutputStopped, RunPolicy};
use longhaul_store::SettleAs;
use uuid::Uuid;

/// Longest cause in a log line; the whole one is in the task's log.
const MAX_LOGGED_CAUSE_CHARS: usize = 2 << 10;

/// How the call of an executor ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// It returned.
    Returned(Result<Outcome, OutputStopped>),
    /// It panicked.
    Panicked(String),
    /// It was told to stop, did not, and was given up.
    Abandoned,
}

/// What is known about the run.
pub struct Facts<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
    pub created_at: Timestamp,
    pub deadline: Option<Timestamp>,
    pub attempt: i32,
    /// The terms of this run.
    pub policy: RunPolicy,
    /// Whether the agent may answer with a message.
    pub direct: bool,
    /// Why the run was told to stop, if it was.
    pub stopped: Option<Why>,
    /// Why the store refused output, if it did.
    pub refused: Option<String>,
    /// A fresh id for a message.
    pub id: Uuid,
    /// In `0.0..1.0`, for the jitter between attempts.
    pub random: f64,
}

/// What is to be written.
#[derive(Debug, PartialEq)]
pub struct Settlement {
    pub how: SettleAs,
    pub last: Vec<EntryBody>,
}

/// The reason that a settlement gives for a failed attempt, as it is logged.
#[derive(Debug, Default, PartialEq)]
pub struct FailureReason {
    /// The kind of failure, when it is final.
    pub because: Option<FailureKind>,
    /// The cause, cut to a length that a log line can have.
    pub cause: String,
}

impl Settlement {
    /// The reason to log; none where no attempt has failed.
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

    const fn release() -> Self {
        Self { how: SettleAs::Release, last: Vec::new() }
    }
}

/// Decides. `None`: the run belongs to somebody else, and nothing may be written.
pub fn decide(ended: Ended, facts: &Facts<'_>) -> Option<Settlement> {
    if facts.stopped == Some(Why::LeaseLost) {
        return None;
    }
    if let Some(refused) = &facts.refused {
        tracing::error!(cause = refused, "the output of the executor cannot be stored");
        return Some(failed(Fault::of(ExecutorFailure::fatal(NOT_STORED)), facts));
    }
    let ended = allowed(ended, facts);
    Some(match facts.stopped {
        Some(why) if !is_final(&ended) => when_stopped(why, ended, facts),
        _ => as_it_ended(ended, facts),
    })
}

/// An answer with a message of an agent that may not give one is a failure.
fn allowed(ended: Ended, facts: &Facts<'_>) -> Ended {
    match ended {
        Ended::Returned(Ok(Outcome::Direct(_))) if !facts.direct => {
            Ended::Returned(Ok(Outcome::Failed(ExecutorFailure::fatal(
                "the executor answered with a message, but its agent is not registered as `direct`",
            ))))
        }
        ended => ended,
    }
}

/// Whether the executor has decided for good, whatever it was told meanwhile.
const fn is_final(ended: &Ended) -> bool {
    matches!(
        ended,
        Ended::Returned(Ok(Outcome::Completed(_) | Outcome::Rejected(_) | Outcome::Direct(_)))
    )
}

/// What follows when nothing but the end itself counts.
fn as_it_ended(ended: Ended, facts: &Facts<'_>) -> Settlement {
    match ended {
        Ended::Returned(Ok(outcome)) => settle_outcome(outcome, facts),
        Ended::Panicked(what) => failed(Fault::panicked(&what), facts),
        // Nothing is wrong with the task: it runs again, here or elsewhere.
        Ended::Returned(Err(OutputStopped::Interrupted | OutputStopped::Unavailable)) => {
            Settlement::release()
        }
        Ended::Abandoned | Ended::Returned(Err(_)) => {
            let cause = "the executor stopped without being asked to";
            failed(Fault::of(ExecutorFailure::retryable(cause)), facts)
        }
    }
}

fn settle_outcome(outcome: Outcome, facts: &Facts<'_>) -> Settlement {
    match outcome {
        Outcome::Completed(message) => Settlement::end(TerminalState::Completed, message),
        Outcome::Rejected(message) => Settlement::end(TerminalState::Rejected, message),
        Outcome::Direct(message) => Settlement::direct(message),
        Outcome::Canceled(message) => Settlement::end(TerminalState::Canceled, message),
        Outcome::InputRequired(message) => Settlement::park(ParkedState::InputRequired, message),
        Outcome::AuthRequired(message) => Settlement::park(ParkedState::AuthRequired, message),
        Outcome::Failed(failure) => failed(Fault::of(failure), facts),
    }
}

/// The end of a call that was told to stop and has not ended its task.
fn when_stopped(why: Why, ended: Ended, facts: &Facts<'_>) -> Settlement {
    match why {
        Why::Canceled => Settlement::end(TerminalState::Canceled, last_word(ended)),
        Why::Deadline => failed(Fault::deadline(facts), facts),
        // A question that came late is still a question; the run that waits for its answer has time of its own.
        Why::AttemptTimeout | Why::NoProgress if is_park(&ended) => as_it_ended(ended, facts),
        Why::AttemptTimeout => failed(Fault::attempt_timeout(facts), facts),
        Why::NoProgress => failed(Fault::no_progress(facts), facts),
        Why::Draining | Why::LeaseLost => match ended {
            ended if is_park(&ended) => as_it_ended(ended, facts),
            Ended::Returned(Ok(Outcome::Failed(failure))) if !failure.retryable => {
                failed(Fault::of(failure), facts)
            }
            // It stopped because it was told to: the task was not called off, and nothing is wrong with it.
            _ => Settlement::release(),
        },
    }
}

const fn is_park(ended: &Ended) -> bool {
    matches!(ended, Ended::Returned(Ok(Outcome::InputRequired(_) | Outcome::AuthRequired(_))))
}

/// What an executor says about a cancellation that it has seen.
fn last_word(ended: Ended) -> Option<Message> {
    match ended {
        Ended::Returned(Ok(Outcome::Canceled(message))) => message,
        _ => None,
    }
}
