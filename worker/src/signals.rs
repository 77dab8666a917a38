//! How one run is told things from outside, and how it shows that it is getting on.
//!
//! The first reason to stop stands, with one exception: a run whose lease is lost writes nothing more, whatever it was told
//! before.

use crate::why::Why;
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

/// The signals of one run.
pub struct RunSignals {
    /// Cancelled when the run shall stop.
    pub stop: CancellationToken,
    /// Cancelled when nothing may be written any more.
    lost: CancellationToken,
    why: Mutex<Option<Why>>,
    /// Rung when the client may have said more.
    pub message: Notify,
    progress: Mutex<Progress>,
}

struct Progress {
    last: Instant,
    /// How many calls of the executor wait for the store now.
    waiting: usize,
}

/// A call of the executor that waits for the store: until it is dropped the executor cannot be expected to get on.
pub struct Waiting<'a>(&'a RunSignals);

impl RunSignals {
    /// Of a run that begins now and that nobody has stopped.
    pub fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
            why: Mutex::new(None),
            message: Notify::new(),
            progress: Mutex::new(Progress { last: Instant::now(), waiting: 0 }),
        }
    }

    /// Stops the run, unless it was stopped before for another reason.
    pub fn stop(&self, why: Why) {
        let mut stands = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if stands.is_none() || why == Why::LeaseLost {
            *stands = Some(why);
        }
        drop(stands);
        if why == Why::LeaseLost {
            self.lost.cancel();
        }
        self.stop.cancel();
    }

    /// Why the run was stopped, if it was.
    pub fn why(&self) -> Option<Why> {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the executor hears of that.
    pub fn stopped(&self) -> Option<OutputStopped> {
        self.why().map(Why::stopped)
    }

    /// Waits until the run is stopped.
    pub async fn wait_stopped(&self) -> OutputStopped {
        self.stop.cancelled().await;
        self.stopped().unwrap_or(OutputStopped::Draining)
    }

    /// Waits until nothing may be written any more.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Does something that writes; `None`: the lease is lost, and it was not begun or is given up.
    pub async fn unless_lost<T>(&self, write: impl Future<Output = T>) -> Option<T> {
        self.lost.run_until_cancelled(write).await
    }

    /// The executor is getting on.
    pub fn progress(&self) {
        self.lock().last = Instant::now();
    }

    /// The executor waits for the store: that is not counted against it.
    pub fn waiting(&self) -> Waiting<'_> {
        self.lock().waiting += 1;
        Waiting(self)
    }

    /// Waits until there was no sign of progress for so long.
    pub async fn stalled(&self, limit: Duration) {
        loop {
            let (now, last) = (Instant::now(), self.last_progress());
            let Some(due) = last.checked_add(limit) else { return pending().await };
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn last_progress(&self) -> Instant {
        let progress = self.lock();
        if progress.waiting > 0 { Instant::now() } else { progress.last }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut progress = self.0.lock();
        progress.waiting -= 1;
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
    fn the_first_reason_to_stop_stands() {
        let signals = RunSignals::new();
        assert_eq!(signals.stopped(), None);
        signals.stop(Why::Canceled);
        signals.stop(Why::Draining);
        assert_eq!(signals.why(), Some(Why::Canceled));
        assert_eq!(signals.unless_lost(async {}).now_or_never(), Some(Some(())));
    }

    #[test]
    fn a_lost_lease_outweighs_every_other_reason() {
        let signals = RunSignals::new();
        signals.stop(Why::Canceled);
        signals.stop(Why::LeaseLost);
        signals.stop(Why::Draining);
        assert_eq!(signals.why(), Some(Why::LeaseLost));
        assert_eq!(signals.unless_lost(async {}).now_or_never(), Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_progress_begins_the_time_anew() {
        let signals = RunSignals::new();
        let mut stalled = Box::pin(signals.stalled(LIMIT));
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
    async fn waiting_for_the_store_is_not_counted_against_the_executor() {
        let signals = RunSignals::new();
        let mut stalled = Box::pin(signals.stalled(LIMIT));
        let waiting = signals.waiting();
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
