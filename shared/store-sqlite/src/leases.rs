//! Leases of this process's workers, in memory.
//!
//! One process has the folder to itself, and a worker of a dead process has no lease. So no lease
//! needs to survive the process, and a renewal waits for no write. A worker that has a row in the
//! file but no lease here died with an earlier process.
//!
//! If the whole process stalled (suspended, starved, a clock set forward), all leases expire at
//! once although no worker is lost. So an expired lease counts as lost only if a second check, some
//! time after the first, still finds it expired: a live worker has renewed it by then.

use longhaul_domain::WorkerId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::row;

/// Maximum time between the two checks of an expired lease, in milliseconds.
const MAX_RECHECK_MS: i64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Lease {
    until: i64,
    length: i64,
    /// Time of the first check that found it expired.
    expired_since: Option<i64>,
}

/// Result of checking a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStatus {
    /// The worker lives, or may live; check again at this time.
    Held(i64),
    /// The worker is lost.
    Lost,
}

/// Leases by worker, with their ends in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Leases(Mutex<HashMap<WorkerId, Lease>>);

impl Leases {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<WorkerId, Lease>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Grants a worker its first lease.
    pub fn grant(&self, worker: WorkerId, now: i64, lease: Duration) {
        self.with(|leases| leases.insert(worker, Lease::new(now, lease)));
    }

    /// Renews a lease, even an expired one; `false`: the worker has none.
    pub fn renew(&self, worker: WorkerId, now: i64, lease: Duration) -> bool {
        // An expired lease is still there, so no reaper has offered the runs: they may go on.
        self.with(|leases| {
            leases.get_mut(&worker).map(|held| *held = Lease::new(now, lease)).is_some()
        })
    }

    /// Returns whether the lease of a worker is still valid.
    pub fn is_valid(&self, worker: WorkerId, now: i64) -> bool {
        self.with(|leases| leases.get(&worker).is_some_and(|lease| lease.until > now))
    }

    /// Returns the end of a worker's lease.
    pub fn until(&self, worker: WorkerId) -> Option<i64> {
        self.with(|leases| leases.get(&worker).map(|lease| lease.until))
    }

    /// Checks whether a worker is lost, and remembers the first check that found its lease expired.
    pub fn check(&self, worker: WorkerId, now: i64) -> LeaseStatus {
        // A worker without a lease was lost by another check, or never registered.
        self.with(|leases| {
            leases.get_mut(&worker).map_or(LeaseStatus::Lost, |lease| lease.check(now))
        })
    }

    /// Checks a worker and removes the lease of a lost one, so that the worker cannot renew it.
    /// `true`: it is lost.
    pub fn remove_if_lost(&self, worker: WorkerId, now: i64) -> bool {
        self.with(|leases| {
            // A worker without a lease belonged to an earlier process.
            let lost = leases.get_mut(&worker).is_none_or(|l| l.check(now) == LeaseStatus::Lost);
            if lost {
                leases.remove(&worker);
            }
            lost
        })
    }

    /// Removes the lease of a worker.
    pub fn end(&self, worker: WorkerId) {
        self.with(|leases| leases.remove(&worker));
    }

    /// Removes all leases.
    pub fn remove_all(&self) {
        self.with(HashMap::clear);
    }
}

impl Lease {
    fn new(now: i64, lease: Duration) -> Self {
        let length = row::millis(lease);
        Self { until: now.saturating_add(length), length, expired_since: None }
    }

    fn check(&mut self, now: i64) -> LeaseStatus {
        if self.until > now {
            return LeaseStatus::Held(self.until);
        }
        let since = *self.expired_since.get_or_insert(now);
        let lost_at = since + self.length.clamp(1, MAX_RECHECK_MS);
        if lost_at <= now { LeaseStatus::Lost } else { LeaseStatus::Held(lost_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(200);

    fn held_since(now: i64) -> (Leases, WorkerId) {
        let (leases, worker) = (Leases::default(), WorkerId::new(uuid::Uuid::from_u128(7)));
        leases.grant(worker, now, LEASE);
        (leases, worker)
    }

    #[test]
    fn a_worker_that_does_not_renew_is_lost_at_the_second_check() {
        let (leases, worker) = held_since(0);
        assert_eq!(leases.check(worker, 199), LeaseStatus::Held(200));
        assert!(!leases.is_valid(worker, 200));
        assert_eq!(leases.check(worker, 5_000), LeaseStatus::Held(5_200));
        assert!(!leases.remove_if_lost(worker, 5_199));
        assert!(leases.remove_if_lost(worker, 5_200));
        assert!(!leases.renew(worker, 5_200, LEASE));
    }

    #[test]
    fn a_stalled_process_loses_no_worker() {
        let (leases, worker) = held_since(0);
        assert_eq!(leases.check(worker, 60_000), LeaseStatus::Held(60_200));
        assert!(leases.renew(worker, 60_100, LEASE));
        assert_eq!(leases.check(worker, 60_250), LeaseStatus::Held(60_300));
        assert_eq!(
            leases.check(worker, 60_300),
            LeaseStatus::Held(60_500),
            "the look before is forgotten"
        );
    }

    #[test]
    fn a_worker_of_an_earlier_process_is_lost_at_once() {
        let (leases, worker) = held_since(0);
        leases.remove_all();
        assert_eq!(leases.check(worker, 1), LeaseStatus::Lost);
        assert!(!leases.renew(worker, 1, LEASE));
    }
}
