//! The time limits of one run.

use super::RunEnv;
use crate::{signals::RunSignals, why::Why};
use longhaul_executor::RunPolicy;
use std::{future::pending, time::Duration};
use tokio::time::sleep;

/// Ends when an executor was told to stop, by a time limit or by somebody else, and did not in time.
pub async fn overrun(env: &RunEnv, signals: &RunSignals, limits: Limits) {
    tokio::select! {
        _ = signals.wait_stopped() => {}
        why = limits.passed(signals) => signals.stop(why),
    }
    tokio::select! {
        () = sleep(env.grace) => {}
        () = env.stop_now.cancelled() => {}
        () = async {
            signals.lost().await;
            sleep(env.lost_grace).await;
        } => {}
    }
}

/// How long a run may go on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    attempt: Duration,
    no_progress: Option<Duration>,
    /// Until the deadline of the task.
    left: Option<Duration>,
}

impl Limits {
    /// Limits of a run that begins now and whose task has so long left. The store says how long that is: the clock of this
    /// machine may be another.
    pub const fn new(terms: RunPolicy, left: Option<Duration>) -> Self {
        Self { attempt: terms.timeout, no_progress: terms.no_progress, left }
    }

    /// Waits until one of the limits is passed.
    async fn passed(self, signals: &RunSignals) -> Why {
        let no_progress = async {
            match self.no_progress {
                Some(limit) => signals.stalled(limit).await,
                None => pending().await,
            }
        };
        let deadline = async {
            match self.left {
                Some(left) => sleep(left).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = deadline => Why::Deadline,
            () = sleep(self.attempt) => Why::AttemptTimeout,
            () = no_progress => Why::NoProgress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(attempt: u32, no_progress: Option<u32>, left: Option<u32>) -> Limits {
        let terms = RunPolicy {
            timeout: SECOND * attempt,
            no_progress: no_progress.map(|seconds| SECOND * seconds),
            ..RunPolicy::default()
        };
        Limits::new(terms, left.map(|seconds| SECOND * seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_that_passes_first_is_named() {
        for (limits, expected) in [
            (limits(5, None, None), Why::AttemptTimeout),
            (limits(5, Some(9), Some(9)), Why::AttemptTimeout),
            (limits(5, Some(4), Some(9)), Why::NoProgress),
            (limits(5, Some(4), Some(3)), Why::Deadline),
            (limits(5, Some(5), Some(5)), Why::Deadline),
        ] {
            assert_eq!(limits.passed(&RunSignals::new()).await, expected, "{limits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_past_has_passed() {
        let limits = Limits::new(RunPolicy::default(), Some(Duration::ZERO));
        assert_eq!(limits.passed(&RunSignals::new()).await, Why::Deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_beyond_every_calendar_are_no_limits() {
        let endless = RunPolicy {
            timeout: Duration::MAX,
            no_progress: Some(Duration::MAX),
            ..RunPolicy::default()
        };
        let limits = Limits::new(endless, Some(Duration::MAX));
        let signals = RunSignals::new();
        tokio::select! {
            why = limits.passed(&signals) => panic!("{why:?}"),
            () = sleep(SECOND * 3_600 * 24 * 365) => {}
        }
    }
}
