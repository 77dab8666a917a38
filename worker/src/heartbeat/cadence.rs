//! The cadence of heartbeats: regular, or fast while control signals may have been missed.
//!
//! Heartbeats carry cancels too, so the fast cadence bounds the delay of a cancel whose signal
//! was lost.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Time between heartbeats while signals may have been missed.
const MISSED_SIGNALS_INTERVAL: Duration = Duration::from_millis(900);

/// Duration of the fast cadence after a report. A listener reports when its connection breaks and
/// again when it is back, so this covers the gap between the two.
const MISSED_SIGNALS_PERIOD: Duration = Duration::from_secs(60);

/// Tracks whether control signals may have been missed; clones share it.
#[derive(Clone, Default)]
pub struct MissedSignals(Arc<MissedSignalsState>);

#[derive(Default)]
struct MissedSignalsState {
    until: Mutex<Option<Instant>>,
    reported: Notify,
}

impl MissedSignals {
    /// Reports that signals may have been missed.
    pub fn report(&self) {
        let until = Instant::now() + MISSED_SIGNALS_PERIOD;
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.0.reported.notify_one();
    }

    fn is_recent(&self) -> bool {
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the next heartbeat is due: `regular` after the last one, or earlier while
    /// signals may have been missed.
    pub async fn next_heartbeat(&self, last: Instant, regular: Duration) {
        let early = regular.min(MISSED_SIGNALS_INTERVAL);
        tokio::select! {
            () = sleep_until(last + regular) => {}
            () = self.early_heartbeat(last + early) => {}
        }
    }

    async fn early_heartbeat(&self, at: Instant) {
        while !self.is_recent() {
            self.0.reported.notified().await;
        }
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGULAR: Duration = Duration::from_secs(5);

    async fn heartbeats_within(missed: &MissedSignals, period: Duration) -> usize {
        let begin = Instant::now();
        let mut heartbeats = 0;
        loop {
            missed.next_heartbeat(Instant::now(), REGULAR).await;
            if begin.elapsed() > period {
                return heartbeats;
            }
            heartbeats += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_are_regular_while_no_signal_was_missed() {
        let period = Duration::from_secs(51);
        assert_eq!(heartbeats_within(&MissedSignals::default(), period).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn missed_signals_bring_a_heartbeat_a_second_for_a_minute() {
        let missed = MissedSignals::default();
        let begin = Instant::now();
        let (took, ()) = tokio::join!(
            async {
                missed.next_heartbeat(begin, REGULAR).await;
                begin.elapsed()
            },
            async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                missed.report();
            }
        );
        assert_eq!(took.as_secs(), 2, "at once, as the last heartbeat was longer ago");
        let heartbeats = heartbeats_within(&missed, Duration::from_secs(30)).await;
        assert!((30..=34).contains(&heartbeats), "{heartbeats}");
        tokio::time::sleep(MISSED_SIGNALS_PERIOD).await;
        assert_eq!(heartbeats_within(&missed, Duration::from_secs(51)).await, 10);
    }
}
