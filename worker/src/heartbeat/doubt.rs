//! Whether signals may have been lost. While that is so, heartbeats come more often, as they bring cancels too.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How far apart heartbeats are in doubt: a cancel whose signal was lost comes not much later than this.
const BEAT: Duration = Duration::from_millis(900);

/// How long a doubt lasts. A listener says that signals may have been lost when its connection breaks and again when it is
/// back, so this covers what lies between.
const LASTS: Duration = Duration::from_secs(60);

/// A doubt about signals; clones share it.
#[derive(Clone, Default)]
pub struct Doubt(Arc<State>);

#[derive(Default)]
struct State {
    until: Mutex<Option<Instant>>,
    raised: Notify,
}

impl Doubt {
    /// Signals may have been lost.
    pub fn raise(&self) {
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + LASTS);
        self.0.raised.notify_one();
    }

    fn is_there(&self) -> bool {
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the next heartbeat is due: `regular` after the last, or earlier while there is doubt.
    pub async fn next_beat(&self, last: Instant, regular: Duration) {
        let early = regular.min(BEAT);
        tokio::select! {
            () = sleep_until(last + regular) => {}
            () = self.in_doubt(last + early) => {}
        }
    }

    async fn in_doubt(&self, early: Instant) {
        while !self.is_there() {
            self.0.raised.notified().await;
        }
        sleep_until(early).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGULAR: Duration = Duration::from_secs(5);

    async fn beats_within(doubt: &Doubt, period: Duration) -> usize {
        let begin = Instant::now();
        let mut beats = 0;
        loop {
            doubt.next_beat(Instant::now(), REGULAR).await;
            if begin.elapsed() > period {
                return beats;
            }
            beats += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_doubt_the_heart_beats_regularly() {
        assert_eq!(beats_within(&Doubt::default(), Duration::from_secs(51)).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_makes_it_beat_within_a_second_and_passes() {
        let doubt = Doubt::default();
        let begin = Instant::now();
        let (took, ()) = tokio::join!(
            async {
                doubt.next_beat(begin, REGULAR).await;
                begin.elapsed()
            },
            async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                doubt.raise();
            }
        );
        assert_eq!(took.as_secs(), 2, "at once, as the last beat was longer ago");
        let beats = beats_within(&doubt, Duration::from_secs(30)).await;
        assert!((30..=34).contains(&beats), "{beats}");
        tokio::time::sleep(LASTS).await;
        assert_eq!(beats_within(&doubt, Duration::from_secs(51)).await, 10);
    }
}
