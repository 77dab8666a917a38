//! Schedules that back off after a failure. In memory only: another node may fire them meanwhile.

use longhaul_domain::OwnerId;
use longhaul_runtime::Backoff;
use longhaul_store::Schedule;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Backoff after each failure in a row.
const FIRING_BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_secs(60),
    jitter: true,
};

/// Most schedules remembered; when there are more, those whose backoff is over are dropped.
const MAX_BACKED_OFF: usize = 10_000;

/// Schedules that back off, by owner and name.
#[derive(Debug, Default)]
pub struct FiringBackoffs(HashMap<(OwnerId, String), BackoffState>);

#[derive(Debug, Clone, Copy)]
struct BackoffState {
    until: Instant,
    failures: u32,
}

impl FiringBackoffs {
    /// Number of schedules.
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// True while a schedule backs off.
    pub fn is_backing_off(&self, schedule: &Schedule, now: Instant) -> bool {
        self.0.get(&key(schedule)).is_some_and(|state| now < state.until)
    }

    /// Backs off a schedule that failed.
    pub fn record_failure(&mut self, schedule: &Schedule, now: Instant) {
        if self.0.len() >= MAX_BACKED_OFF {
            // Only entries that no longer delay anything are dropped.
            self.0.retain(|_, state| now < state.until);
        }
        let failures = self.0.get(&key(schedule)).map_or(0, |state| state.failures);
        let state = BackoffState {
            until: now + FIRING_BACKOFF.random_delay(failures),
            failures: failures + 1,
        };
        self.0.insert(key(schedule), state);
    }

    /// Forgets the failures of a schedule.
    pub fn record_success(&mut self, schedule: &Schedule) {
        self.0.remove(&key(schedule));
    }

    /// Time until the first backoff is over.
    pub fn next_in(&self) -> Option<Duration> {
        let next = self.0.values().map(|state| state.until).min();
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }
}

fn key(schedule: &Schedule) -> (OwnerId, String) {
    (schedule.owner, schedule.name.clone())
}
