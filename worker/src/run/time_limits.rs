//! The time limits of one run: attempt timeout, no-progress timeout and deadline.

use super::env::RunEnv;
use crate::run_signals::{RunSignals, StopReason};
use longhaul_executor::RunPolicy;
use std::{future::pending, time::Duration};
use tokio::time::sleep;

/// Waits until the executor has overrun: it was stopped, by a limit or otherwise, and did not
/// return within its grace period. A limit that passes stops the run.
pub async fn wait_overrun(env: &RunEnv, signals: &RunSignals, limits: TimeLimits) {
    tokio::select! {
        _ = signals.wait_stopped() => {}
        reason = limits.wait_passed(signals) => signals.stop(reason),
    }
    tokio::select! {
        () = sleep(env.grace) => {}
        () = env.stop_now.cancelled() => {}
        () = async {
            signals.wait_lease_lost().await;
            sleep(env.lease_lost_grace).await;
        } => {}
    }
}

/// The time limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    attempt: Duration,
    no_progress: Option<Duration>,
    /// Time left until the task's deadline.
    deadline_in: Option<Duration>,
}

impl TimeLimits {
    /// The limits of a run that starts now. `deadline_in` comes from the store, because this
    /// machine's clock may differ from the database's.
    pub const fn new(policy: RunPolicy, deadline_in: Option<Duration>) -> Self {
        Self { attempt: policy.timeout, no_progress: policy.no_progress, deadline_in }
    }

    /// Waits until one of the limits has passed.
    async fn wait_passed(self, signals: &RunSignals) -> StopReason {
        let no_progress = async {
            match self.no_progress {
                Some(limit) => signals.wait_stalled(limit).await,
                None => pending().await,
            }
        };
        let deadline = async {
            match self.deadline_in {
                Some(left) => sleep(left).await,
                None => pending().await,
            }
        };
        tokio::select! {
            // In the order of finality, for limits that pass at the same time.
            biased;
            () = deadline => StopReason::Deadline,
            () = sleep(self.attempt) => StopReason::AttemptTimeout,
            () = no_progress => StopReason::NoProgress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(attempt: u32, no_progress: Option<u32>, deadline_in: Option<u32>) -> TimeLimits {
        let policy = RunPolicy {
            timeout: SECOND * attempt,
            no_progress: no_progress.map(|seconds| SECOND * seconds),
            ..RunPolicy::default()
        };
        TimeLimits::new(policy, deadline_in.map(|seconds| SECOND * seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_limit_to_pass_is_the_stop_reason() {
        for (limits, expected) in [
            (limits(5, None, None), StopReason::AttemptTimeout),
            (limits(5, Some(9), Some(9)), StopReason::AttemptTimeout),
            (limits(5, Some(4), Some(9)), StopReason::NoProgress),
            (limits(5, Some(4), Some(3)), StopReason::Deadline),
            (limits(5, Some(5), Some(5)), StopReason::Deadline),
        ] {
            assert_eq!(limits.wait_passed(&RunSignals::new()).await, expected, "{limits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_past_passes_at_once() {
        let limits = TimeLimits::new(RunPolicy::default(), Some(Duration::ZERO));
        assert_eq!(limits.wait_passed(&RunSignals::new()).await, StopReason::Deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_beyond_the_clocks_range_never_pass() {
        let unlimited = RunPolicy {
            timeout: Duration::MAX,
            no_progress: Some(Duration::MAX),
            ..RunPolicy::default()
        };
        let limits = TimeLimits::new(unlimited, Some(Duration::MAX));
        let signals = RunSignals::new();
        tokio::select! {
            reason = limits.wait_passed(&signals) => panic!("{reason:?}"),
            () = sleep(SECOND * 3_600 * 24 * 365) => {}
        }
    }
}
