//! What the end of an executor's call means for its task: a pure decision.

use longhaul_domain::{
    ContextId, EntryBody, Json, JsonObject, Message, MessageId, Note, ParkedState, Part, Role,
    TaskId, TaskState, TerminalState, extension, log::StatusChange,
};
use longhaul_executor::{Failure, Outcome, RunPolicy, Stopped};
use longhaul_runtime::Backoff;
use longhaul_store::SettleAs;
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// What a client hears of output that the store refused; the cause is for the log.
pub const NOT_STORED: &str = "the output of the executor cannot be stored";

/// How the call of an executor ended.
#[derive(Debug)]
pub enum Ended {
    /// It returned.
    Returned(Result<Outcome, Stopped>),
    /// It panicked.
    Panicked(String),
    /// It was told to stop, did not, and was given up.
    Abandoned,
}

/// What is known about the run.
pub struct Facts<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
    pub attempt: i32,
    pub policy: RunPolicy,
    /// Whether the agent may answer with a message.
    pub direct: bool,
    /// Why the run was told to stop, if it was.
    pub stopped: Option<Stopped>,
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

impl Settlement {
    fn end(state: TerminalState, message: Option<Message>) -> Self {
        let change = StatusChange::with(state.state(), message);
        Self { how: SettleAs::End(state), last: vec![EntryBody::Status(change)] }
    }

    fn park(state: ParkedState, message: Message) -> Self {
        let change = StatusChange::with(state.state(), Some(message));
        Self { how: SettleAs::Park(state), last: vec![EntryBody::Status(change)] }
    }

    const fn release() -> Self {
        Self { how: SettleAs::Release, last: Vec::new() }
    }
}

/// Decides. `None`: the run belongs to somebody else, and nothing may be written.
pub fn decide(ended: Ended, facts: &Facts<'_>) -> Option<Settlement> {
    if facts.stopped == Some(Stopped::LeaseLost) {
        return None;
    }
    if let Some(refused) = &facts.refused {
        tracing::error!(cause = refused, "the output of the executor cannot be stored");
        return Some(failed(Failure::fatal(NOT_STORED), facts));
    }
    Some(match (ended, facts.stopped) {
        (Ended::Returned(Ok(Outcome::Failed(_))) | Ended::Panicked(_), Some(Stopped::Canceled)) => {
            Settlement::end(TerminalState::Canceled, None)
        }
        (
            Ended::Returned(Ok(Outcome::Failed(_) | Outcome::Canceled(_))),
            Some(Stopped::TimedOut),
        ) => failed(timed_out(facts), facts),
        // It stopped because it was told to; the task itself was not called off, and nothing is wrong with it.
        (
            Ended::Returned(Ok(
                Outcome::Canceled(_) | Outcome::Failed(Failure { retryable: true, .. }),
            ))
            | Ended::Panicked(_),
            Some(Stopped::Draining),
        ) => Settlement::release(),
        (Ended::Returned(Ok(outcome)), _) => settle_outcome(outcome, facts),
        (Ended::Panicked(what), _) => {
            failed(Failure::retryable(format!("the executor panicked: {what}")), facts)
        }
        (Ended::Abandoned | Ended::Returned(Err(_)), Some(reason)) => stopped(reason, facts),
        (Ended::Abandoned | Ended::Returned(Err(_)), None) => {
            failed(Failure::retryable("the executor stopped without being asked to"), facts)
        }
    })
}

fn stopped(reason: Stopped, facts: &Facts<'_>) -> Settlement {
    match reason {
        Stopped::Canceled => Settlement::end(TerminalState::Canceled, None),
        Stopped::TimedOut => failed(timed_out(facts), facts),
        Stopped::Draining | Stopped::LeaseLost => Settlement::release(),
    }
}

fn timed_out(facts: &Facts<'_>) -> Failure {
    let limit = facts.policy.timeout.as_secs_f64();
    Failure::retryable(format!(
        "timed out: the attempt took longer than {limit} s (start-to-close)"
    ))
}

fn settle_outcome(outcome: Outcome, facts: &Facts<'_>) -> Settlement {
    match outcome {
        Outcome::Completed(message) => Settlement::end(TerminalState::Completed, message),
        Outcome::Rejected(message) => Settlement::end(TerminalState::Rejected, message),
        Outcome::Canceled(message) => Settlement::end(TerminalState::Canceled, message),
        Outcome::InputRequired(message) => Settlement::park(ParkedState::InputRequired, message),
        Outcome::AuthRequired(message) => Settlement::park(ParkedState::AuthRequired, message),
        Outcome::Failed(failure) => failed(failure, facts),
        Outcome::Direct(message) if facts.direct => {
            let change = StatusChange {
                direct: true,
                ..StatusChange::with(TaskState::Completed, Some(message))
            };
            Settlement {
                how: SettleAs::End(TerminalState::Completed),
                last: vec![EntryBody::Status(change)],
            }
        }
        Outcome::Direct(_) => failed(
            Failure::fatal(
                "the executor answered with a message, but its agent is not registered as `direct`",
            ),
            facts,
        ),
    }
}

fn failed(failure: Failure, facts: &Facts<'_>) -> Settlement {
    let tried = u32::try_from(facts.attempt).unwrap_or(1);
    if failure.retryable && tried < facts.policy.max_attempts {
        let delay = failure.retry_after.unwrap_or_else(|| backoff(tried, facts));
        let note = Note::AttemptFailed {
            attempt: facts.attempt,
            cause: failure.cause,
            retry_in_ms: i64::try_from(delay.as_millis()).unwrap_or(i64::MAX),
        };
        return Settlement { how: SettleAs::Retry(delay), last: vec![EntryBody::Note(note)] };
    }
    let mut message = failure.message.unwrap_or_else(|| {
        let id = MessageId::from(facts.id);
        let parts = vec![Part::text(printable(&failure.cause))];
        Message {
            task_id: Some(facts.task),
            context_id: Some(facts.context.clone()),
            ..Message::new(id, Role::Agent, parts)
        }
    });
    message.metadata = with_cause(message.metadata, &failure.cause, facts.attempt);
    Settlement::end(TerminalState::Failed, Some(message))
}

/// What can be stored of a text.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Adds what is known of the failure to the message's metadata.
fn with_cause(metadata: Option<JsonObject>, cause: &str, attempt: i32) -> Option<JsonObject> {
    let mut members = metadata.as_ref().and_then(|m| m.members().ok()).unwrap_or_default();
    let facts = BTreeMap::from([
        ("cause", Json::from_serialize(&printable(cause)).ok()?),
        ("attempts", Json::from_serialize(&attempt).ok()?),
    ]);
    members.insert(extension::DURABILITY.to_owned(), Json::from_serialize(&facts).ok()?);
    JsonObject::from_members(&members).ok().or(metadata)
}

fn backoff(tried: u32, facts: &Facts<'_>) -> Duration {
    let policy = facts.policy.backoff;
    let schedule =
        Backoff { initial: policy.initial, factor: policy.factor, max: policy.max, jitter: false };
    // Half fixed, half random: spread out, and still not at once.
    let ceiling = schedule.ceiling(tried.saturating_sub(1));
    ceiling / 2 + ceiling.mul_f64(facts.random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(context: &ContextId) -> Facts<'_> {
        Facts {
            task: TaskId::new(Uuid::from_u128(1)),
            context,
            attempt: 1,
            policy: RunPolicy::default(),
            direct: false,
            stopped: None,
            refused: None,
            id: Uuid::from_u128(2),
            random: 0.5,
        }
    }

    fn context() -> ContextId {
        ContextId::new("c").unwrap()
    }

    fn completed() -> Ended {
        Ended::Returned(Ok(Outcome::Completed(None)))
    }

    #[test]
    fn a_worker_that_lost_its_lease_writes_nothing() {
        let context = context();
        let facts = Facts { stopped: Some(Stopped::LeaseLost), ..facts(&context) };
        assert_eq!(decide(completed(), &facts), None);
    }

    #[test]
    fn an_executor_that_completes_in_spite_of_a_cancel_has_completed() {
        let context = context();
        let facts = Facts { stopped: Some(Stopped::Canceled), ..facts(&context) };
        let settlement = decide(completed(), &facts).unwrap();
        assert_eq!(settlement.how, SettleAs::End(TerminalState::Completed));
        let settlement = decide(Ended::Abandoned, &facts).unwrap();
        assert_eq!(settlement.how, SettleAs::End(TerminalState::Canceled));
    }

    #[test]
    fn a_panic_is_retried_until_the_attempts_are_used_up() {
        let context = context();
        let panicked = || Ended::Panicked("boom".to_owned());
        let settlement = decide(panicked(), &facts(&context)).unwrap();
        assert_eq!(settlement.how, SettleAs::Retry(Duration::from_millis(750)));
        let last = Facts { attempt: 3, ..facts(&context) };
        let settlement = decide(panicked(), &last).unwrap();
        assert_eq!(settlement.how, SettleAs::End(TerminalState::Failed));
        let EntryBody::Status(change) = &settlement.last[0] else { panic!("no status") };
        let message = change.message.as_ref().unwrap();
        assert_eq!(message.text(), "the executor panicked: boom");
        assert!(message.metadata.as_ref().unwrap().as_str().contains("\"attempts\":3"));
    }

    #[test]
    fn a_drained_run_is_given_back_and_burns_no_attempt() {
        let context = context();
        let facts = Facts { stopped: Some(Stopped::Draining), ..facts(&context) };
        for ended in [
            Ended::Returned(Err(Stopped::Draining)),
            Ended::Returned(Ok(Outcome::Canceled(None))),
            Ended::Returned(Ok(Outcome::Failed(Failure::retryable("interrupted")))),
            Ended::Panicked("interrupted".to_owned()),
            Ended::Abandoned,
        ] {
            assert_eq!(decide(ended, &facts), Some(Settlement::release()));
        }
    }

    #[test]
    fn a_timeout_names_itself() {
        let context = context();
        let facts = Facts { stopped: Some(Stopped::TimedOut), attempt: 3, ..facts(&context) };
        let settlement = decide(Ended::Abandoned, &facts).unwrap();
        let EntryBody::Status(change) = &settlement.last[0] else { panic!("no status") };
        assert!(change.message.as_ref().unwrap().text().contains("start-to-close"));
    }

    #[test]
    fn only_a_direct_agent_answers_with_a_message() {
        let context = context();
        let said = || {
            let id = MessageId::new("m").unwrap();
            let message = Message::new(id, Role::Agent, vec![Part::text("hi")]);
            Ended::Returned(Ok(Outcome::Direct(message)))
        };
        let settlement = decide(said(), &facts(&context)).unwrap();
        assert_eq!(settlement.how, SettleAs::End(TerminalState::Failed));
        let direct = Facts { direct: true, ..facts(&context) };
        let settlement = decide(said(), &direct).unwrap();
        assert_eq!(settlement.how, SettleAs::End(TerminalState::Completed));
    }

    #[test]
    fn refused_output_fails_the_task_for_good() {
        let context = context();
        let facts = Facts { refused: Some("too large".to_owned()), ..facts(&context) };
        let settlement = decide(completed(), &facts).unwrap();
        assert_eq!(settlement.how, SettleAs::End(TerminalState::Failed));
    }
}
