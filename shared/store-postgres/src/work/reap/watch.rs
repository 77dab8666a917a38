//! Tracks by this process's own clock how long each worker has been unchanged.
//!
//! The database's clock may jump by any amount. A lease that has expired by that clock counts as
//! expired only if this process has also seen it unrenewed for two thirds of its length: a live
//! worker has renewed it by then, and a cut-off one has stopped its runs. A lease unrenewed for its
//! whole length has expired whatever that clock says. Time without scans counts little, because the
//! database may have been unreachable for all.

use super::scan::{SESSION_GRACE, WorkerSighting};
use longhaul_domain::Timestamp;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

/// Lost workers, with the values that must be unchanged when they are marked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostWorkers {
    /// Workers with an expired lease, and its end.
    pub by_lease: Vec<(Uuid, Timestamp)>,
    /// Workers without a session, and the time since when.
    pub by_session: Vec<(Uuid, Timestamp)>,
}

impl LostWorkers {
    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.by_lease.is_empty() && self.by_session.is_empty()
    }
}

/// Observations of the workers.
#[derive(Debug, Default)]
pub struct WorkerWatch(Mutex<WatchState>);

#[derive(Debug, Default)]
struct WatchState {
    last: Option<Instant>,
    workers: HashMap<Uuid, UnchangedFor>,
}

/// Time that a worker's lease and session have been unchanged.
#[derive(Debug, Clone, Copy)]
struct UnchangedFor {
    ends_at: Timestamp,
    lease: Duration,
    gone_since: Option<Timestamp>,
    gone: Duration,
}

impl WorkerWatch {
    /// Records what a scan has found; returns the lost workers.
    pub fn observe(&self, found: &[WorkerSighting], now: Instant) -> LostWorkers {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The first scan has observed nothing yet, so no worker can be lost by it.
        let passed = seen.last.map_or(Duration::ZERO, |last| now.duration_since(last));
        let mut lost = LostWorkers::default();
        let mut workers = HashMap::with_capacity(found.len());
        for sighting in found {
            let unchanged =
                UnchangedFor::after(seen.workers.get(&sighting.worker), sighting, passed);
            let lease = sighting.lease;
            if unchanged.lease >= lease || (sighting.over && unchanged.lease >= lease * 2 / 3) {
                lost.by_lease.push((sighting.worker, sighting.ends_at));
            }
            // Timers are inexact: a scan scheduled for the end of the grace period may run slightly
            // early.
            if sighting.missed && unchanged.gone >= SESSION_GRACE * 4 / 5 {
                lost.by_session.extend(sighting.gone_since.map(|since| (sighting.worker, since)));
            }
            workers.insert(sighting.worker, unchanged);
        }
        *seen = WatchState { last: Some(now), workers };
        lost
    }
}

impl UnchangedFor {
    /// Updates an observation with the time that has passed since the previous scan.
    fn after(before: Option<&Self>, now: &WorkerSighting, passed: Duration) -> Self {
        let lease = before.filter(|before| before.ends_at == now.ends_at);
        let gone = before.filter(|before| before.gone_since == now.gone_since);
        Self {
            ends_at: now.ends_at,
            // A long gap between scans counts as a third of the lease at most.
            lease: lease.map_or(Duration::ZERO, |b| b.lease + passed.min(now.lease / 3)),
            gone_since: now.gone_since,
            gone: gone.map_or(Duration::ZERO, |before| before.gone + passed.min(SESSION_GRACE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn worker(ends_at: i64, over: bool) -> WorkerSighting {
        let ends_at = Timestamp::from_timestamp(ends_at, 0).unwrap();
        let worker = Uuid::from_u128(1);
        WorkerSighting { worker, ends_at, over, lease: LEASE, gone_since: None, missed: false }
    }

    /// Scans once a second; returns the second in which the worker was lost.
    fn lost_after(seconds: u64, at: impl Fn(u64) -> WorkerSighting) -> Option<u64> {
        let (watch, begin) = (WorkerWatch::default(), Instant::now());
        (0..seconds).find(|second| {
            let lost = watch.observe(&[at(*second)], begin + Duration::from_secs(*second));
            !lost.is_empty()
        })
    }

    #[test]
    fn a_clock_set_forward_loses_no_worker_that_renews() {
        // Renewed every five seconds; the clock jumps an hour ahead at second seven.
        let at = |second: u64| {
            let shift = |second| if second >= 7 { 3_600 } else { 0 };
            let renewed = second / 5 * 5;
            let ends_at = renewed + shift(renewed) + 15;
            worker(i64::try_from(ends_at).unwrap(), ends_at < second + shift(second))
        };
        assert_eq!(lost_after(120, at), None);
    }

    #[test]
    fn a_worker_that_does_not_renew_is_lost_whatever_the_clock_says() {
        assert_eq!(lost_after(60, |second| worker(15, second > 15)), Some(15));
        assert_eq!(lost_after(60, |_| worker(3_615, false)), Some(15), "an hour back");
        assert_eq!(lost_after(60, |_| worker(15, true)), Some(10), "an hour forward");
    }

    #[test]
    fn time_without_scans_counts_little() {
        let (watch, begin) = (WorkerWatch::default(), Instant::now());
        assert!(watch.observe(&[worker(15, false)], begin).is_empty());
        assert!(watch.observe(&[worker(15, true)], begin + LEASE * 10).is_empty());
    }

    #[test]
    fn a_session_must_be_gone_by_both_clocks() {
        let (watch, begin) = (WorkerWatch::default(), Instant::now());
        let gone_since = Timestamp::from_timestamp(3, 0);
        let gone = WorkerSighting { gone_since, missed: true, ..worker(15, false) };
        assert!(watch.observe(&[gone], begin).is_empty(), "the clock has just been set forward");
        let lost = watch.observe(&[gone], begin + SESSION_GRACE);
        assert_eq!(lost.by_session, [(gone.worker, gone_since.unwrap())]);
    }
}
