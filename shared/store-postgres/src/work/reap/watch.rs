//! How long this process has seen each worker unchanged, by its own clock.
//!
//! The database's clock may be put forward or back by any amount. A lease that it calls over counts as over only when it has also
//! not been renewed for two thirds of its length before the eyes of this process: whoever lives has renewed it by then, and whoever
//! has not has stopped its runs. One that was not renewed for its whole length is over whatever that clock says. Time in which
//! this process did not look counts little, because the database may have been away from everybody.

use super::look::{GRACE, Sighting};
use longhaul_domain::Timestamp;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

/// Workers that are lost, each with what must not have changed when that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostWorkers {
    /// Those whose lease is over, and when it was to end.
    pub by_lease: Vec<(Uuid, Timestamp)>,
    /// Those whose session is gone, and since when.
    pub by_session: Vec<(Uuid, Timestamp)>,
}

impl LostWorkers {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.by_lease.is_empty() && self.by_session.is_empty()
    }
}

/// What was seen of the workers.
#[derive(Debug, Default)]
pub struct WorkerWatch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<Instant>,
    workers: HashMap<Uuid, Unchanged>,
}

/// For how long a worker has been as it was.
#[derive(Debug, Clone, Copy)]
struct Unchanged {
    ends_at: Timestamp,
    lease: Duration,
    gone_since: Option<Timestamp>,
    gone: Duration,
}

impl WorkerWatch {
    /// Takes note of what a look has found; gives the workers that are lost.
    pub fn note(&self, found: &[Sighting], now: Instant) -> LostWorkers {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = seen.last.map_or(Duration::ZERO, |last| now.duration_since(last));
        let mut lost = LostWorkers::default();
        let mut workers = HashMap::with_capacity(found.len());
        for sighting in found {
            let unchanged = Unchanged::after(seen.workers.get(&sighting.worker), sighting, passed);
            let lease = sighting.lease;
            if unchanged.lease >= lease || (sighting.over && unchanged.lease >= lease * 2 / 3) {
                lost.by_lease.push((sighting.worker, sighting.ends_at));
            }
            // Timers are not exact: a look that was to come after the whole time may come a little earlier.
            if sighting.missed && unchanged.gone >= GRACE * 4 / 5 {
                lost.by_session.extend(sighting.gone_since.map(|since| (sighting.worker, since)));
            }
            workers.insert(sighting.worker, unchanged);
        }
        *seen = Seen { last: Some(now), workers };
        lost
    }
}

impl Unchanged {
    /// A worker that was so before, when so much time has passed since.
    fn after(before: Option<&Self>, now: &Sighting, passed: Duration) -> Self {
        let lease = before.filter(|before| before.ends_at == now.ends_at);
        let gone = before.filter(|before| before.gone_since == now.gone_since);
        Self {
            ends_at: now.ends_at,
            lease: lease.map_or(Duration::ZERO, |b| b.lease + passed.min(now.lease / 3)),
            gone_since: now.gone_since,
            gone: gone.map_or(Duration::ZERO, |before| before.gone + passed.min(GRACE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn worker(ends_at: i64, over: bool) -> Sighting {
        let ends_at = Timestamp::from_timestamp(ends_at, 0).unwrap();
        let worker = Uuid::from_u128(1);
        Sighting { worker, ends_at, over, lease: LEASE, gone_since: None, missed: false }
    }

    /// Looks each second for so long; gives after how many seconds the worker was lost.
    fn lost_after(seconds: u64, at: impl Fn(u64) -> Sighting) -> Option<u64> {
        let (watch, begin) = (WorkerWatch::default(), Instant::now());
        (0..seconds).find(|second| {
            let lost = watch.note(&[at(*second)], begin + Duration::from_secs(*second));
            !lost.is_empty()
        })
    }

    #[test]
    fn a_clock_that_is_put_forward_loses_nobody_who_renews() {
        // Renewed each five seconds; the clock goes an hour forward at the seventh.
        let at = |second: u64| {
            let shift = |second| if second >= 7 { 3_600 } else { 0 };
            let renewed = second / 5 * 5;
            let ends_at = renewed + shift(renewed) + 15;
            worker(i64::try_from(ends_at).unwrap(), ends_at < second + shift(second))
        };
        assert_eq!(lost_after(120, at), None);
    }

    #[test]
    fn who_does_not_renew_is_lost_wherever_the_clock_stands() {
        assert_eq!(lost_after(60, |second| worker(15, second > 15)), Some(15));
        assert_eq!(lost_after(60, |_| worker(3_615, false)), Some(15), "an hour back");
        assert_eq!(lost_after(60, |_| worker(15, true)), Some(10), "an hour forward");
    }

    #[test]
    fn time_in_which_nobody_looked_counts_little() {
        let (watch, begin) = (WorkerWatch::default(), Instant::now());
        assert!(watch.note(&[worker(15, false)], begin).is_empty());
        assert!(watch.note(&[worker(15, true)], begin + LEASE * 10).is_empty());
    }

    #[test]
    fn a_session_is_missed_for_as_long_by_both_clocks() {
        let (watch, begin) = (WorkerWatch::default(), Instant::now());
        let gone_since = Timestamp::from_timestamp(3, 0);
        let gone = Sighting { gone_since, missed: true, ..worker(15, false) };
        assert!(watch.note(&[gone], begin).is_empty(), "the clock was put forward just now");
        let lost = watch.note(&[gone], begin + GRACE);
        assert_eq!(lost.by_session, [(gone.worker, gone_since.unwrap())]);
    }
}
