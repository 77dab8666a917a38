//! Limits the clients that wait for tasks to begin to as many as will see them begin within the
//! allowed delay.
//!
//! Under overload a node accepts messages faster than workers begin tasks, and clients would wait
//! longer and longer. A further client is rejected while more wait than will begin within the
//! delay, which costs only a look into memory. Both numbers are measured: the waiting clients, and
//! the tasks seen to begin per second. A few waiting clients are always allowed. So is any number
//! when tasks begin slowly: then the work takes time, not the machine, and waiting costs nothing. A
//! restarted node has measured nothing and rejects nobody.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Clients that may always wait.
const MIN_WAITERS: u64 = 1_024;

/// Rate of beginning tasks from which the limit applies.
const MIN_LIMITED_RATE_PER_SECOND: u64 = 100;

/// Window over which the rate is measured.
const RATE_WINDOW: Duration = Duration::from_millis(500);

/// Limits the clients that wait for tasks of one queue.
#[derive(Debug)]
pub struct WaitLimiter(Mutex<WaitState>);

#[derive(Debug)]
struct WaitState {
    waiting: u64,
    /// Start of the current window.
    since: Instant,
    /// Tasks that began in it.
    begun: u64,
    /// Tasks per second that began in the last window.
    rate: u64,
}

/// Too many clients are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded {
    /// Waiting clients.
    pub waiting: u64,
    /// Tasks that begin per second.
    pub rate: u64,
}

impl Default for WaitLimiter {
    fn default() -> Self {
        Self(Mutex::new(WaitState { waiting: 0, since: Instant::now(), begun: 0, rate: 0 }))
    }
}

impl WaitState {
    /// Begins a new window when the current one is over.
    fn roll_window(&mut self) {
        let took = self.since.elapsed();
        if took >= RATE_WINDOW {
            // Windows end with a request, so their length varies.
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
            self.rate = self.begun.saturating_mul(1_000) / millis;
            self.begun = 0;
            self.since = Instant::now();
        }
    }

    /// Most clients that may wait, if their tasks should begin within `delay`.
    fn max_waiting(&self, delay: Duration) -> u64 {
        // Slow work: waiting holds nothing that others need.
        if self.rate < MIN_LIMITED_RATE_PER_SECOND {
            return u64::MAX;
        }
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        (self.rate.saturating_mul(millis) / 1_000).max(MIN_WAITERS)
    }
}

impl WaitLimiter {
    /// Lets one more client wait, if tasks begin within `delay`.
    pub fn start_waiting(self: &Arc<Self>, delay: Duration) -> Result<Waiter, Overloaded> {
        let mut state = self.state();
        state.roll_window();
        if state.waiting >= state.max_waiting(delay) {
            return Err(Overloaded { waiting: state.waiting, rate: state.rate });
        }
        state.waiting += 1;
        Ok(Waiter(Arc::clone(self)))
    }

    fn state(&self) -> MutexGuard<'_, WaitState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiting client; leaves when dropped.
#[derive(Debug)]
pub struct Waiter(Arc<WaitLimiter>);

impl Waiter {
    /// Records that the task has begun, or has ended already.
    pub fn task_begun(self) {
        let mut state = self.0.state();
        state.roll_window();
        // Counted here and not on drop: a client that leaves has seen nothing begin.
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

    /// In every millisecond of a second, `rates.0` clients come and `rates.1` tasks begin. Returns
    /// how many clients were rejected.
    async fn second(
        limiter: &Arc<WaitLimiter>,
        waiters: &mut VecDeque<Waiter>,
        rates: (u64, u64),
    ) -> u64 {
        let mut away = 0;
        for _ in 0..1_000 {
            for _ in 0..rates.0 {
                match limiter.start_waiting(DELAY) {
                    Ok(waiter) => waiters.push_back(waiter),
                    Err(_) => away += 1,
                }
            }
            for _ in 0..rates.1 {
                waiters.pop_front().into_iter().for_each(Waiter::task_begun);
            }
            advance(Duration::from_millis(1)).await;
        }
        away
    }

    #[tokio::test(start_paused = true)]
    async fn double_the_capacity_is_halved_and_no_client_waits_too_long() {
        let (limiter, mut waiters) = (Arc::default(), VecDeque::new());
        for _ in 0..3 {
            second(&limiter, &mut waiters, (6, 3)).await;
        }
        let away = second(&limiter, &mut waiters, (6, 3)).await;
        assert!((2_900..=3_100).contains(&away), "{away}");
        assert!((2_900..=3_100).contains(&waiters.len()), "a second's work: {}", waiters.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_of_a_thousand_clients_is_never_limited() {
        let (limiter, mut waiters) = (Arc::default(), VecDeque::new());
        for begins in [3, 1, 0, 2, 3] {
            while waiters.len() < 1_000 {
                waiters
                    .push_back(WaitLimiter::start_waiting(&limiter, DELAY).expect("there is room"));
            }
            assert_eq!(second(&limiter, &mut waiters, (begins, begins)).await, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_may_wait_for_slow_work() {
        let (limiter, mut waiters) = (Arc::<WaitLimiter>::default(), VecDeque::new());
        for _ in 0..5_000 {
            waiters.push_back(limiter.start_waiting(DELAY).expect("nothing is measured yet"));
        }
        for _ in 0..50 {
            waiters.pop_front().into_iter().for_each(Waiter::task_begun);
            advance(Duration::from_millis(20)).await;
            waiters.push_back(limiter.start_waiting(DELAY).expect("tasks begin slowly"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_frees_its_place_and_does_not_count_as_begun() {
        let (limiter, mut waiters) = (Arc::default(), VecDeque::new());
        second(&limiter, &mut waiters, (3, 3)).await;
        while let Ok(waiter) = limiter.start_waiting(DELAY) {
            waiters.push_back(waiter);
        }
        assert_eq!(waiters.len(), 3_000);
        waiters.pop_back();
        assert!(limiter.start_waiting(DELAY).is_ok());
    }
}
