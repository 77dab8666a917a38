//! The clock as a parameter, so that tests control the time.
//!
//! Leases and due times use the database's clock, never this one. It stamps logs, headers and local
//! timers; nothing durable depends on it.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// The current time in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The system clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock for tests that moves only on request.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock by `delta`, which may be negative. A move outside chrono's range is ignored.
    pub fn advance(&self, delta: TimeDelta) {
        // A poisoned lock still holds a valid time.
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moved) = now.checked_add_signed(delta) {
            *now = moved;
        }
    }

    /// Sets the clock to `now`.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Default for ManualClock {
    /// Creates a clock that shows the Unix epoch.
    fn default() -> Self {
        Self::at(DateTime::UNIX_EPOCH)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_on_request() {
        let clock = ManualClock::default();
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(clock.now().timestamp(), 90);
        clock.advance(TimeDelta::MAX);
        assert_eq!(clock.now().timestamp(), 90, "an impossible time is ignored");
        clock.set(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
    }

    #[test]
    fn the_system_clock_is_later_than_this_code() {
        assert!(SystemClock.now().timestamp() > 1_700_000_000);
    }
}
