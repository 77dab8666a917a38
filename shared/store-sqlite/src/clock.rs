//! The store's clock: that of the process. It never goes back by a little, and reports when it has
//! gone back by more.
//!
//! Follows a clock that was set back: relative waits keep their length.
//!
//! A retry in one second is stored as a time of the old clock, and by the new clock it would come
//! an hour late. Absolute times (a deadline, an earliest start) stay as they are.

use crate::{
    db::{self, statements},
    error::DbResult,
};
use longhaul_runtime::Clock;
use rusqlite::{Connection, named_params};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

statements! {
    // A run that was claimed before is waiting for its next attempt. A task created more than a day
    // ahead was accepted while the clock was wrong, and no client asks for a start that late.
    SHIFT_RUNS = "-- store::follow_clock
        UPDATE runs SET run_at = run_at - :back
        WHERE worker IS NULL AND stage = 1 AND run_at > :before
          AND (epoch > 0 OR EXISTS (SELECT 1 FROM tasks t
                                    WHERE t.owner_id = runs.owner_id AND t.task = runs.task AND t.created_at > :ahead))";
    SHIFT_QUEUE_TIMEOUTS = "-- store::follow_clock
        UPDATE runs SET queue_until = queue_until - :back WHERE queue_until > :before";
    SHIFT_CANCELS = "-- store::follow_clock
        UPDATE runs SET cancel_at = cancel_at - :back WHERE cancel_at > :before";
}

/// Maximum correction (by a time service) that the clock absorbs by standing still, in
/// milliseconds.
const MAX_SLEW_MS: i64 = 1_000;

/// Milliseconds since 1970, for writers and readers alike.
pub struct StoreClock {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: i64,
    step: Option<ClockStep>,
}

/// A step back of the clock that the queue has yet to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// Time before the step.
    pub before: i64,
    /// Length of the step; above zero.
    pub back: i64,
}

impl StoreClock {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    pub fn now(&self) -> i64 {
        let now = self.clock.now().timestamp_millis();
        let mut state = self.lock();
        let back = state.last.saturating_sub(now);
        if back > MAX_SLEW_MS {
            tracing::warn!(back_ms = back, "clock set back");
            let step = state.step.unwrap_or(ClockStep { before: state.last, back: 0 });
            state.step = Some(ClockStep { back: step.back.saturating_add(back), ..step });
            state.last = now;
        }
        // A small correction holds the time still until the clock has caught up.
        state.last = state.last.max(now);
        state.last
    }

    /// Returns the step that the queue has yet to follow.
    pub fn pending_step(&self) -> Option<ClockStep> {
        self.lock().step
    }

    /// Marks a step as followed.
    pub fn mark_followed(&self, step: ClockStep) {
        let mut state = self.lock();
        // Another step may have been added meanwhile.
        let rest = state.step.map_or(0, |now| now.back.saturating_sub(step.back));
        state.step = (rest > 0).then(|| ClockStep { before: step.before - step.back, back: rest });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One day, in milliseconds.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Shifts relative waits by the step, in the open transaction.
pub fn shift_relative_times(conn: &Connection, step: ClockStep) -> DbResult<()> {
    let ClockStep { before, back } = step;
    let ahead = before.saturating_sub(back).saturating_add(DAY_MS);
    db::run(conn, SHIFT_RUNS, named_params! { ":before": before, ":back": back, ":ahead": ahead })?;
    for shift in [SHIFT_QUEUE_TIMEOUTS, SHIFT_CANCELS] {
        db::run(conn, shift, named_params! { ":before": before, ":back": back })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use longhaul_runtime::ManualClock;

    #[test]
    fn a_small_correction_holds_the_time_and_a_step_back_is_reported_until_followed() {
        let clock = Arc::new(ManualClock::default());
        clock.advance(TimeDelta::seconds(500));
        let time = StoreClock::new(Arc::<ManualClock>::clone(&clock));
        assert_eq!(time.now(), 500_000);
        clock.advance(TimeDelta::milliseconds(-900));
        assert_eq!((time.now(), time.pending_step()), (500_000, None));
        clock.advance(TimeDelta::seconds(-90));
        assert_eq!(time.now(), 409_100);
        let step = ClockStep { before: 500_000, back: 90_900 };
        assert_eq!(time.pending_step(), Some(step));
        clock.advance(TimeDelta::seconds(-10));
        time.now();
        time.mark_followed(step);
        assert_eq!(time.pending_step(), Some(ClockStep { before: 409_100, back: 10_000 }));
        time.mark_followed(ClockStep { before: 409_100, back: 10_000 });
        assert_eq!(time.pending_step(), None);
    }
}
