//! Signals of one run: stop requests from outside, new messages, and progress of its executor.
//!
//! The first reason to stop wins, with one exception: a lost lease overrides every other reason,
//! because such a run must not write again. All of this is in memory and ends with the process.

use longhaul_executor::OutputStopped;
use std::{
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The worker's reason for stopping a run. Executors see the coarser [`OutputStopped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The client canceled the task.
    Canceled,
    /// The attempt exceeded its start-to-close timeout.
    AttemptTimeout,
    /// The attempt showed no progress within its no-progress timeout.
    NoProgress,
    /// The task's deadline passed.
    Deadline,
    /// The run no longer belongs to this worker: nothing may be written.
    LeaseLost,
    /// The worker is shutting down.
    Draining,
}

impl StopReason {
    /// The reason as the executor sees it.
    pub const fn for_executor(self) -> OutputStopped {
        match self {
            Self::Canceled => OutputStopped::Canceled,
            Self::AttemptTimeout | Self::NoProgress | Self::Deadline => OutputStopped::TimedOut,
            Self::LeaseLost => OutputStopped::LeaseLost,
            Self::Draining => OutputStopped::Draining,
        }
    }
}

/// The signals of one run.
pub struct RunSignals {
    /// Cancelled when the run should stop.
    pub stop: CancellationToken,
    /// Cancelled when the run's lease is lost.
    lease_lost: CancellationToken,
    stop_reason: Mutex<Option<StopReason>>,
    /// Notified when the client may have sent a message.
    pub message: Notify,
    progress: Mutex<ProgressClock>,
}

struct ProgressClock {
    last: Instant,
    /// Executor calls that are waiting for the store.
    store_waits: usize,
}

/// A call of the executor that waits for the store. The no-progress clock is paused until drop.
pub struct StoreWait<'a>(&'a RunSignals);

impl RunSignals {
    /// The signals of a run that starts now.
    pub fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            lease_lost: CancellationToken::new(),
            stop_reason: Mutex::new(None),
            message: Notify::new(),
            progress: Mutex::new(ProgressClock { last: Instant::now(), store_waits: 0 }),
        }
    }

    /// Stops the run. An earlier reason stays, unless the new one is a lost lease.
    pub fn stop(&self, reason: StopReason) {
        let mut first = self.stop_reason.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() || reason == StopReason::LeaseLost {
            *first = Some(reason);
        }
        drop(first);
        // The reason is stored before the tokens are cancelled: a woken waiter always finds one.
        if reason == StopReason::LeaseLost {
            self.lease_lost.cancel();
        }
        self.stop.cancel();
    }

    /// The reason for which the run was stopped; `None` while it is not.
    pub fn stop_reason(&self) -> Option<StopReason> {
        *self.stop_reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stop reason as the executor sees it.
    pub fn output_stopped(&self) -> Option<OutputStopped> {
        self.stop_reason().map(StopReason::for_executor)
    }

    /// Waits until the run is stopped.
    pub async fn wait_stopped(&self) -> OutputStopped {
        self.stop.cancelled().await;
        // `stop` stores the reason first, so the fallback is never used.
        self.output_stopped().unwrap_or(OutputStopped::Draining)
    }

    /// Waits until the lease is lost.
    pub async fn wait_lease_lost(&self) {
        self.lease_lost.cancelled().await;
    }

    /// Runs a write until it ends or the lease is lost. `None`: it was dropped or never started.
    pub async fn unless_lease_lost<T>(&self, write: impl Future<Output = T>) -> Option<T> {
        self.lease_lost.run_until_cancelled(write).await
    }

    /// Records progress of the executor.
    pub fn progress(&self) {
        self.lock_progress().last = Instant::now();
    }

    /// Pauses the no-progress clock while the executor waits for the store.
    pub fn store_wait(&self) -> StoreWait<'_> {
        self.lock_progress().store_waits += 1;
        StoreWait(self)
    }

    /// Waits until the executor has shown no progress for `limit`.
    pub async fn wait_stalled(&self, limit: Duration) {
        loop {
            let (now, last) = (Instant::now(), self.last_progress());
            // A limit beyond the clock's range never passes.
            let Some(due) = last.checked_add(limit) else { return pending().await };
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn last_progress(&self) -> Instant {
        let progress = self.lock_progress();
        if progress.store_waits > 0 { Instant::now() } else { progress.last }
    }

    fn lock_progress(&self) -> MutexGuard<'_, ProgressClock> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StoreWait<'_> {
    fn drop(&mut self) {
        let mut progress = self.0.lock_progress();
        progress.store_waits -= 1;
        // The executor gets its full limit again after the store has answered.
        progress.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::time::advance;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn the_first_stop_reason_wins() {
        let signals = RunSignals::new();
        assert_eq!(signals.output_stopped(), None);
        signals.stop(StopReason::Canceled);
        signals.stop(StopReason::Draining);
        assert_eq!(signals.stop_reason(), Some(StopReason::Canceled));
        assert_eq!(signals.unless_lease_lost(async {}).now_or_never(), Some(Some(())));
    }

    #[test]
    fn a_lost_lease_overrides_every_other_reason() {
        let signals = RunSignals::new();
        signals.stop(StopReason::Canceled);
        signals.stop(StopReason::LeaseLost);
        signals.stop(StopReason::Draining);
        assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
        assert_eq!(signals.unless_lease_lost(async {}).now_or_never(), Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_restarts_the_no_progress_clock() {
        let signals = RunSignals::new();
        let mut stalled = Box::pin(signals.wait_stalled(LIMIT));
        for _ in 0..3 {
            advance(LIMIT / 10 * 9).await;
            assert!((&mut stalled).now_or_never().is_none());
            signals.progress();
        }
        let since = Instant::now();
        stalled.await;
        let took = since.elapsed();
        assert!(took >= LIMIT && took < LIMIT + Duration::from_millis(10), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_store_does_not_count_as_no_progress() {
        let signals = RunSignals::new();
        let mut stalled = Box::pin(signals.wait_stalled(LIMIT));
        let waiting = signals.store_wait();
        for _ in 0..20 {
            assert!((&mut stalled).now_or_never().is_none());
            advance(LIMIT / 4).await;
        }
        drop(waiting);
        let since = Instant::now();
        stalled.await;
        assert!(since.elapsed() >= LIMIT);
    }
}
