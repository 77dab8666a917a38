//! The delay before the next attempt: the executor's, or exponential backoff with jitter.
//!
//! The delay is settled with the failed attempt. The store makes the run due after it, by the
//! database's clock, so a retry survives the worker.

use super::attempt::{AttemptContext, AttemptError};
use longhaul_runtime::Backoff;
use std::time::Duration;

/// Longest delay between two attempts, also when the executor asks for more.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(7 * 24 * 3600);

/// The delay before the next attempt; `None` when there is none, because the error is fatal or the
/// attempts are used up.
pub fn retry_delay(error: &AttemptError, context: &AttemptContext<'_>) -> Option<Duration> {
    let attempts = u32::try_from(context.attempt).unwrap_or(1).max(1);
    (error.retryable && attempts < context.policy.max_attempts).then(|| {
        let delay = error.retry_after.unwrap_or_else(|| backoff_delay(attempts, context));
        delay.min(MAX_RETRY_DELAY)
    })
}

fn backoff_delay(attempts: u32, context: &AttemptContext<'_>) -> Duration {
    let policy = context.policy.backoff;
    let schedule =
        Backoff { initial: policy.initial, factor: policy.factor, max: policy.max, jitter: false };
    let ceiling = schedule.ceiling(attempts.saturating_sub(1)).min(MAX_RETRY_DELAY);
    // Half fixed, half random: retries spread out, but none is immediate.
    ceiling / 2 + ceiling.mul_f64(context.random.clamp(0.0, 1.0) / 2.0)
}
