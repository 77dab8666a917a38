//! Whether the executor is at it, right now: what it emits then waits for what it emits next, or for its end.
//!
//! An executor that gets everything done in one go is written in one step that way. One that waits for something has its output
//! written at once, and one that computes for long without waiting has it written after some milliseconds.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// How long output waits for an executor that is at it.
const COMPANY: Duration = Duration::from_millis(5);

/// Knows whether the executor is at it.
#[derive(Default)]
pub struct Polled {
    /// How many calls are at it.
    now: AtomicUsize,
    /// Whether nothing more is waited for.
    over: AtomicBool,
    /// Rung when one has to wait for something.
    waits: Notify,
}

impl Polled {
    /// Makes a call. One that has ended counts as being at it: its end is on the way.
    pub async fn watch<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|cx| {
            self.now.fetch_add(1, Ordering::AcqRel);
            let polled = call.as_mut().poll(cx);
            if polled.is_pending() {
                self.now.fetch_sub(1, Ordering::AcqRel);
                self.waits.notify_waiters();
                return Poll::Pending;
            }
            polled
        })
        .await
    }

    /// Nobody waits for the executor to rest any more.
    pub fn ended(&self) {
        self.over.store(true, Ordering::Release);
        self.waits.notify_waiters();
    }

    /// Waits until the executor waits for something or has [ended](Self::ended), but not for long.
    pub async fn rests(&self) {
        let waits = self.waits.notified();
        tokio::pin!(waits);
        waits.as_mut().enable();
        let at_it = self.now.load(Ordering::Acquire) > 0 && !self.over.load(Ordering::Acquire);
        if at_it {
            tokio::select! {
                () = waits => {}
                () = sleep(COMPANY) => {}
            }
        }
    }
}
