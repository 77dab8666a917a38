//! The leases of the workers of this process, in memory.
//!
//! One process has the folder to itself, and a worker of a process that is gone has no lease: nothing of a lease needs
//! to outlive the process, and a renewal waits for no write. A worker whose row stands in the file and that is not here
//! died with an earlier process.
//!
//! When the whole process stood still (suspended, starved, a clock that was put forward), every lease in it is over at
//! once, and nobody is lost. So a lease that is over counts as lost only when a second look, some time after the first,
//! still finds it over: whoever lives has renewed it by then.

use longhaul_domain::WorkerId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::row;

/// The longest time between two looks at a lease that is over, in milliseconds.
const SECOND_LOOK: i64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Lease {
    until: i64,
    length: i64,
    /// When it was first seen to be over.
    over_since: Option<i64>,
}

/// What a look at a worker shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It lives, or may live; look again at this time.
    Held(i64),
    /// It is lost.
    Lost,
}

/// Who has a lease, and until when (milliseconds since 1970).
#[derive(Debug, Default)]
pub struct Leases(Mutex<HashMap<WorkerId, Lease>>);

impl Leases {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<WorkerId, Lease>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a worker its first lease.
    pub fn grant(&self, worker: WorkerId, now: i64, lease: Duration) {
        self.with(|leases| leases.insert(worker, Lease::new(now, lease)));
    }

    /// Renews the lease of a worker that has one, be it over; `false`: it has none.
    pub fn renew(&self, worker: WorkerId, now: i64, lease: Duration) -> bool {
        self.with(|leases| {
            leases.get_mut(&worker).map(|held| *held = Lease::new(now, lease)).is_some()
        })
    }

    /// Whether the lease of a worker goes on.
    pub fn goes_on(&self, worker: WorkerId, now: i64) -> bool {
        self.with(|leases| leases.get(&worker).is_some_and(|lease| lease.until > now))
    }

    /// Until when the lease of a worker goes.
    pub fn until(&self, worker: WorkerId) -> Option<i64> {
        self.with(|leases| leases.get(&worker).map(|lease| lease.until))
    }

    /// Looks whether a worker is lost, and remembers that its lease was seen to be over.
    pub fn look(&self, worker: WorkerId, now: i64) -> Standing {
        self.with(|leases| leases.get_mut(&worker).map_or(Standing::Lost, |lease| lease.look(now)))
    }

    /// The same, and takes the lease of a lost worker away, so that it cannot renew it any more. `true`: it is lost.
    pub fn take_if_lost(&self, worker: WorkerId, now: i64) -> bool {
        self.with(|leases| {
            let lost = leases.get_mut(&worker).is_none_or(|l| l.look(now) == Standing::Lost);
            if lost {
                leases.remove(&worker);
            }
            lost
        })
    }

    /// Takes the lease of a worker away.
    pub fn end(&self, worker: WorkerId) {
        self.with(|leases| leases.remove(&worker));
    }

    /// Takes every lease away.
    pub fn end_all(&self) {
        self.with(HashMap::clear);
    }
}

impl Lease {
    fn new(now: i64, lease: Duration) -> Self {
        let length = row::millis(lease);
        Self { until: now.saturating_add(length), length, over_since: None }
    }

    fn look(&mut self, now: i64) -> Standing {
        if self.until > now {
            return Standing::Held(self.until);
        }
        let since = *self.over_since.get_or_insert(now);
        let lost_at = since + self.length.clamp(1, SECOND_LOOK);
        if lost_at <= now { Standing::Lost } else { Standing::Held(lost_at) }
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
    fn a_worker_that_does_not_renew_is_lost_at_the_second_look() {
        let (leases, worker) = held_since(0);
        assert_eq!(leases.look(worker, 199), Standing::Held(200));
        assert!(!leases.goes_on(worker, 200));
        assert_eq!(leases.look(worker, 5_000), Standing::Held(5_200));
        assert!(!leases.take_if_lost(worker, 5_199));
        assert!(leases.take_if_lost(worker, 5_200));
        assert!(!leases.renew(worker, 5_200, LEASE));
    }

    #[test]
    fn a_process_that_stood_still_loses_no_worker() {
        let (leases, worker) = held_since(0);
        assert_eq!(leases.look(worker, 60_000), Standing::Held(60_200));
        assert!(leases.renew(worker, 60_100, LEASE));
        assert_eq!(leases.look(worker, 60_250), Standing::Held(60_300));
        assert_eq!(
            leases.look(worker, 60_300),
            Standing::Held(60_500),
            "the look before is forgotten"
        );
    }

    #[test]
    fn a_worker_of_an_earlier_process_is_lost_at_once() {
        let (leases, worker) = held_since(0);
        leases.end_all();
        assert_eq!(leases.look(worker, 1), Standing::Lost);
        assert!(!leases.renew(worker, 1, LEASE));
    }
}
