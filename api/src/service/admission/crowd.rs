//! Those who wait here for tasks that have not begun yet: no more than will see them begin within a while.
//!
//! Under overload a node takes messages in faster than workers begin tasks, and whoever waits would wait longer and longer.
//! So a further one is turned away while more wait than begin within the delay that is allowed, and that takes no more than
//! a look into memory. Everything is measured: how many wait, and how many a second were seen to begin. A crowd of a few is
//! never too large, and neither is one whose tasks begin slowly: there it is the work that takes time and not the machine,
//! and waiting costs nothing. A node that starts anew has measured nothing and turns nobody away.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many may always wait.
const FEW: u64 = 1_024;

/// How many tasks a second begin at least where there may be overload.
const QUICK: u64 = 100;

/// How long is measured.
const WINDOW: Duration = Duration::from_millis(500);

/// Those who wait for tasks of one queue.
#[derive(Debug)]
pub struct Crowd(Mutex<State>);

#[derive(Debug)]
struct State {
    waiting: u64,
    /// When this window began.
    since: Instant,
    /// Tasks that began in it.
    begun: u64,
    /// Tasks that began a second, in the last window.
    rate: u64,
}

/// One too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    /// How many wait.
    pub waiting: u64,
    /// How many of them see their tasks begin in a second.
    pub rate: u64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self(Mutex::new(State { waiting: 0, since: Instant::now(), begun: 0, rate: 0 }))
    }
}

impl State {
    /// Begins a new window when the last one is over.
    fn measure(&mut self) {
        let took = self.since.elapsed();
        if took >= WINDOW {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
            self.rate = self.begun.saturating_mul(1_000) / millis;
            self.begun = 0;
            self.since = Instant::now();
        }
    }

    /// How many may wait, where they shall see their tasks begin within `delay`.
    fn most(&self, delay: Duration) -> u64 {
        if self.rate < QUICK {
            return u64::MAX;
        }
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        (self.rate.saturating_mul(millis) / 1_000).max(FEW)
    }
}

impl Crowd {
    /// Lets one more wait, if tasks begin within `delay`.
    pub fn join(self: &Arc<Self>, delay: Duration) -> Result<Waiter, Crowded> {
        let mut state = self.state();
        state.measure();
        if state.waiting >= state.most(delay) {
            return Err(Crowded { waiting: state.waiting, rate: state.rate });
        }
        state.waiting += 1;
        Ok(Waiter(Arc::clone(self)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits; leaves when dropped.
#[derive(Debug)]
pub struct Waiter(Arc<Crowd>);

impl Waiter {
    /// The task has begun, or has ended already.
    pub fn begun(self) {
        let mut state = self.0.state();
        state.measure();
        state.begun += 1;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::time::advance;

    const DELAY: Duration = Duration::from_secs(1);

    /// Lets `offered` join and `begins` tasks begin in every millisecond of a second; gives how many were turned away and
    /// how many wait in the end.
    async fn second(crowd: &Arc<Crowd>, waiters: &mut VecDeque<Waiter>, rates: (u64, u64)) -> u64 {
        let mut away = 0;
        for _ in 0..1_000 {
            for _ in 0..rates.0 {
                match crowd.join(DELAY) {
                    Ok(waiter) => waiters.push_back(waiter),
                    Err(_) => away += 1,
                }
            }
            for _ in 0..rates.1 {
                waiters.pop_front().into_iter().for_each(Waiter::begun);
            }
            advance(Duration::from_millis(1)).await;
        }
        away
    }

    #[tokio::test(start_paused = true)]
    async fn twice_what_can_be_done_is_halved_and_nobody_waits_longer_than_allowed() {
        let (crowd, mut waiters) = (Arc::default(), VecDeque::new());
        for _ in 0..3 {
            second(&crowd, &mut waiters, (6, 3)).await;
        }
        let away = second(&crowd, &mut waiters, (6, 3)).await;
        assert!((2_900..=3_100).contains(&away), "{away}");
        assert!((2_900..=3_100).contains(&waiters.len()), "a second's work: {}", waiters.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_of_a_thousand_is_never_too_much() {
        let (crowd, mut waiters) = (Arc::default(), VecDeque::new());
        for begins in [3, 1, 0, 2, 3] {
            while waiters.len() < 1_000 {
                waiters.push_back(Crowd::join(&crowd, DELAY).expect("there is room"));
            }
            assert_eq!(second(&crowd, &mut waiters, (begins, begins)).await, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_long_is_waited_for_by_any_number() {
        let (crowd, mut waiters) = (Arc::<Crowd>::default(), VecDeque::new());
        for _ in 0..5_000 {
            waiters.push_back(crowd.join(DELAY).expect("nothing is measured yet"));
        }
        for _ in 0..50 {
            waiters.pop_front().into_iter().for_each(Waiter::begun);
            advance(Duration::from_millis(20)).await;
            waiters.push_back(crowd.join(DELAY).expect("tasks begin slowly"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_away_leaves_room_and_counts_for_nothing() {
        let (crowd, mut waiters) = (Arc::default(), VecDeque::new());
        second(&crowd, &mut waiters, (3, 3)).await;
        while let Ok(waiter) = crowd.join(DELAY) {
            waiters.push_back(waiter);
        }
        assert_eq!(waiters.len(), 3_000);
        waiters.pop_back();
        assert!(crowd.join(DELAY).is_ok());
    }
}
