//! Tracks whether the executor's future is being polled.
//!
//! While it is, output is held back (at most [`BATCH_WINDOW`]), so that a burst becomes one append.
//! Output of an executor that waits for something is written at once.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// Longest time that output is held back while the executor computes without waiting.
const BATCH_WINDOW: Duration = Duration::from_millis(5);

/// Tracks the polls of one executor call.
#[derive(Default)]
pub struct PollTracker {
    /// Tracked futures that are being polled, or have returned.
    polling: AtomicUsize,
    /// True once nothing should wait any longer.
    stopped: AtomicBool,
    /// Notified when a tracked future returns `Pending`.
    idle: Notify,
}

impl PollTracker {
    /// Polls a future to its end. One that has returned still counts as being polled: its outcome
    /// is about to be settled, and its last output goes along.
    pub async fn track<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|cx| {
            self.polling.fetch_add(1, Ordering::AcqRel);
            let polled = call.as_mut().poll(cx);
            if polled.is_pending() {
                self.polling.fetch_sub(1, Ordering::AcqRel);
                self.idle.notify_waiters();
                return Poll::Pending;
            }
            polled
        })
        .await
    }

    /// Releases everything that waits in [`until_idle`](Self::until_idle), now and later.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.idle.notify_waiters();
    }

    /// Waits until the executor is not being polled, up to [`BATCH_WINDOW`].
    pub async fn until_idle(&self) {
        let idle = self.idle.notified();
        tokio::pin!(idle);
        // Enabled before the check, so that a poll that ends in between is not missed.
        idle.as_mut().enable();
        let polling =
            self.polling.load(Ordering::Acquire) > 0 && !self.stopped.load(Ordering::Acquire);
        if polling {
            tokio::select! {
                () = idle => {}
                () = sleep(BATCH_WINDOW) => {}
            }
        }
    }
}
