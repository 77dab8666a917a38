//! What follows from a failed attempt: another one, or the end.

use super::{Facts, Settlement};
use longhaul_domain::{
    EntryBody, FailureKind, Message, MessageId, Note, TaskFailure, TerminalState,
};
use longhaul_executor::ExecutorFailure;
use longhaul_runtime::Backoff;
use longhaul_store::SettleAs;
use std::time::Duration;

/// What a client hears of output that the store refused; the cause is for the log.
pub const NOT_STORED: &str = "the output of the executor cannot be stored";

/// The longest wait that an executor may ask for between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest cause that is kept, in bytes: operators list a thousand at once.
const LONGEST_CAUSE: usize = 16 << 10;

/// What went wrong with an attempt.
pub struct Fault {
    /// The kind of failure that it is when it is final.
    because: FailureKind,
    cause: String,
    for_operators: bool,
    /// For the client, when it is final.
    message: Option<Message>,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl Fault {
    fn retryable(because: FailureKind, cause: String) -> Self {
        Self {
            because,
            cause,
            for_operators: false,
            message: None,
            retryable: true,
            retry_after: None,
        }
    }

    /// What the executor says.
    pub fn of(failure: ExecutorFailure) -> Self {
        let ExecutorFailure { message, cause, for_operators, retryable, retry_after } = failure;
        let because = if retryable { FailureKind::AttemptsUsedUp } else { FailureKind::Fatal };
        Self { because, cause, for_operators, message, retryable, retry_after }
    }

    /// The executor panicked.
    pub fn panicked(what: &str) -> Self {
        let cause = format!("the executor panicked: {what}");
        Self::retryable(FailureKind::AttemptsUsedUp, cause)
    }

    /// The attempt took too long.
    pub fn attempt_timeout(facts: &Facts<'_>) -> Self {
        let limit = facts.policy.timeout.as_secs_f64();
        let cause = format!("timed out: the attempt took longer than {limit} s (start-to-close)");
        Self::retryable(FailureKind::AttemptTimeout, cause)
    }

    /// The attempt did not get on.
    pub fn no_progress(facts: &Facts<'_>) -> Self {
        let limit = facts.policy.no_progress.unwrap_or_default().as_secs_f64();
        let cause = format!(
            "timed out: the attempt showed no sign of progress for {limit} s (no-progress)"
        );
        Self::retryable(FailureKind::NoProgress, cause)
    }

    /// The deadline of the task has come: no attempt can change that.
    pub fn deadline(facts: &Facts<'_>) -> Self {
        let mut cause = TaskFailure::deadline(facts.attempt).cause;
        if let Some(deadline) = facts.deadline {
            let allowed = (deadline - facts.created_at).to_std().unwrap_or_default();
            let (at, allowed) = (deadline.format("%FT%T%.3fZ"), allowed.as_secs_f64());
            cause = format!("timed out: {cause}: {at}, {allowed} s after it was accepted");
        }
        Self { retryable: false, ..Self::retryable(FailureKind::Deadline, cause) }
    }
}

/// Another attempt as long as there is one, then the end.
pub fn failed(mut fault: Fault, facts: &Facts<'_>) -> Settlement {
    shorten(&mut fault.cause);
    let tried = u32::try_from(facts.attempt).unwrap_or(1).max(1);
    if fault.retryable && tried < facts.policy.max_attempts {
        let delay = fault.retry_after.unwrap_or_else(|| backoff(tried, facts)).min(LONGEST_WAIT);
        return retry(delay, &fault.cause, facts);
    }
    let failed = TaskFailure::new(fault.because, &fault.cause, facts.attempt);
    let id = || MessageId::from(facts.id);
    let status =
        if fault.for_operators { TaskFailure::status_without_cause } else { TaskFailure::status };
    let last = vec![status(failed, facts.task, facts.context, fault.message, id)];
    Settlement { how: SettleAs::End(TerminalState::Failed), last }
}

fn shorten(cause: &mut String) {
    let Some(mut end) = (cause.len() > LONGEST_CAUSE).then_some(LONGEST_CAUSE) else { return };
    while !cause.is_char_boundary(end) {
        end -= 1;
    }
    cause.truncate(end);
    cause.push('…');
}

fn retry(delay: Duration, cause: &str, facts: &Facts<'_>) -> Settlement {
    let note = Note::AttemptFailed {
        attempt: facts.attempt,
        // No store can keep a U+0000.
        cause: cause.replace('\0', "\u{fffd}"),
        retry_in_ms: i64::try_from(delay.as_millis()).unwrap_or(i64::MAX),
    };
    Settlement { how: SettleAs::Retry(delay), last: vec![EntryBody::Note(note)] }
}

fn backoff(tried: u32, facts: &Facts<'_>) -> Duration {
    let policy = facts.policy.backoff;
    let schedule =
        Backoff { initial: policy.initial, factor: policy.factor, max: policy.max, jitter: false };
    // Half fixed, half random: spread out, and still not at once.
    let ceiling = schedule.ceiling(tried.saturating_sub(1)).min(LONGEST_WAIT);
    ceiling / 2 + ceiling.mul_f64(facts.random.clamp(0.0, 1.0) / 2.0)
}
