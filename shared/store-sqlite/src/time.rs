//! The store's clock: that of the process. It does not go back by little, and says when it has gone back by more.

use longhaul_runtime::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The clock stands still instead of going back by less than this, in milliseconds: time services correct it so.
const STEP: i64 = 1_000;

/// Milliseconds since 1970, for writers and readers alike.
pub struct Time {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: i64,
    step: Option<Step>,
}

/// A step back of the clock that the queue has not followed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The time before the step.
    pub before: i64,
    /// By how much it went back; above zero.
    pub back: i64,
}

impl Time {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    pub fn now(&self) -> i64 {
        let now = self.clock.now().timestamp_millis();
        let mut state = self.lock();
        let back = state.last.saturating_sub(now);
        if back > STEP {
            tracing::warn!(back_ms = back, "the clock was set back");
            let step = state.step.unwrap_or(Step { before: state.last, back: 0 });
            state.step = Some(Step { back: step.back.saturating_add(back), ..step });
            state.last = now;
        }
        state.last = state.last.max(now);
        state.last
    }

    /// A step that the queue has not followed yet.
    pub fn step(&self) -> Option<Step> {
        self.lock().step
    }

    /// The queue has followed this step.
    pub fn followed(&self, step: Step) {
        let mut state = self.lock();
        // Another one may have been added meanwhile.
        let rest = state.step.map_or(0, |now| now.back.saturating_sub(step.back));
        state.step = (rest > 0).then(|| Step { before: step.before - step.back, back: rest });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use longhaul_runtime::ManualClock;

    #[test]
    fn a_small_correction_holds_the_time_and_a_step_back_is_told_until_it_is_followed() {
        let clock = Arc::new(ManualClock::default());
        clock.advance(TimeDelta::seconds(500));
        let time = Time::new(Arc::<ManualClock>::clone(&clock));
        assert_eq!(time.now(), 500_000);
        clock.advance(TimeDelta::milliseconds(-900));
        assert_eq!((time.now(), time.step()), (500_000, None));
        clock.advance(TimeDelta::seconds(-90));
        assert_eq!(time.now(), 409_100);
        let step = Step { before: 500_000, back: 90_900 };
        assert_eq!(time.step(), Some(step));
        clock.advance(TimeDelta::seconds(-10));
        time.now();
        time.followed(step);
        assert_eq!(time.step(), Some(Step { before: 409_100, back: 10_000 }));
        time.followed(Step { before: 409_100, back: 10_000 });
        assert_eq!(time.step(), None);
    }
}
