//! Schedules that failed a moment ago and are left alone for a while. Kept in memory only: another node may have more luck.

use longhaul_domain::OwnerId;
use longhaul_runtime::Backoff;
use longhaul_store::Schedule;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// How long a schedule rests after each failure in a row.
const PAUSE: Backoff = Backoff {
    initial: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_secs(60),
    jitter: true,
};

/// Most schedules that are remembered; those that would have their turn first are forgotten.
const MAX_RESTING: usize = 10_000;

/// The schedules that rest, and for how long.
#[derive(Debug, Default)]
pub struct Resting(HashMap<(OwnerId, String), Rest>);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    failures: u32,
}

impl Resting {
    /// How many there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Whether a schedule rests.
    pub fn rests(&self, schedule: &Schedule, now: Instant) -> bool {
        self.0.get(&key(schedule)).is_some_and(|rest| now < rest.until)
    }

    /// Lets a schedule rest that has failed.
    pub fn rest(&mut self, schedule: &Schedule, now: Instant) {
        if self.0.len() >= MAX_RESTING {
            self.0.retain(|_, rest| now < rest.until);
        }
        let failures = self.0.get(&key(schedule)).map_or(0, |rest| rest.failures);
        let rest = Rest { until: now + PAUSE.random_delay(failures), failures: failures + 1 };
        self.0.insert(key(schedule), rest);
    }

    /// A schedule is well again.
    pub fn forget(&mut self, schedule: &Schedule) {
        self.0.remove(&key(schedule));
    }

    /// How long until the first of them has rested.
    pub fn next_in(&self) -> Option<Duration> {
        let next = self.0.values().map(|rest| rest.until).min();
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }
}

fn key(schedule: &Schedule) -> (OwnerId, String) {
    (schedule.owner, schedule.name.clone())
}
