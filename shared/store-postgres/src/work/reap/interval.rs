//! Chooses the time of the next scan.
//!
//! While runs are claimed, all workers together scan about five times a second, whatever their
//! number, so that a lost worker is noticed soon. While none is claimed they scan less often, but a
//! task may be claimed at any moment: with few workers each still scans often enough that the task
//! runs elsewhere in under two seconds. A single worker has no other worker to miss.
//!
//! A due event brings the scan forward, to at most about fifty scans a second together. Jitter
//! keeps the workers apart. When a worker has been missed, all scan at the end of its grace period.

use super::scan::{NextEvents, WorkerSummary};
use std::time::Duration;

/// Interval between scans of all workers together, and the shortest interval of one worker unless
/// an event is due.
const BUSY_INTERVALS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(300)];

/// The same two intervals while no run is claimed.
const IDLE_INTERVALS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(600)];

/// The same two intervals for a single worker.
const SINGLE_WORKER_INTERVALS: [Duration; 2] = [Duration::from_millis(1_500); 2];

/// Longest interval of one worker.
const MAX_SCAN_INTERVAL: Duration = Duration::from_secs(5);

/// Shortest interval when an event is due.
pub const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(20);

/// Returns the time until the next scan. `fraction` is the jitter, from 0 to 1.
pub fn next_scan_in(workers: WorkerSummary, events: &NextEvents, fraction: f64) -> Duration {
    let [shared, least] = match (workers.number, workers.running) {
        (0 | 1, _) => SINGLE_WORKER_INTERVALS,
        (_, true) => BUSY_INTERVALS,
        (_, false) => IDLE_INTERVALS,
    };
    let workers = workers.number.max(1);
    let regular = shared.saturating_mul(workers).clamp(least, MAX_SCAN_INTERVAL);
    // Jitter of a quarter in either direction.
    let regular = regular.mul_f64(0.75 + fraction.clamp(0.0, 1.0) / 2.0).min(MAX_SCAN_INTERVAL);
    let next =
        [events.cancel, events.queue, events.due, events.deadline].into_iter().flatten().min();
    // All workers share the rate of early scans, so that a due event causes no stampede.
    let apart = MIN_SCAN_INTERVAL.saturating_mul(workers).min(regular);
    let next = next.map_or(regular, |next| next.max(apart));
    // Every worker scans at the end of a grace period: the first one to see it recovers the runs.
    let lost = events.lost.map_or(regular, |lost| lost.max(MIN_SCAN_INTERVAL));
    regular.min(next).min(lost)
}

#[cfg(test)]
mod tests {
    use super::{super::scan::SESSION_GRACE, *};

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const fn workers(number: u32) -> WorkerSummary {
        WorkerSummary { number, running: true, lost: false, changed: false }
    }

    const fn idle(number: u32) -> WorkerSummary {
        WorkerSummary { running: false, ..workers(number) }
    }

    #[test]
    fn many_workers_scan_rarely_and_few_often() {
        let nothing = NextEvents::default();
        assert_eq!(next_scan_in(workers(2), &nothing, 0.5), ms(400));
        assert_eq!(next_scan_in(workers(3), &nothing, 0.5), ms(600));
        assert_eq!(next_scan_in(workers(3), &nothing, 0.0), ms(450), "not all at once");
        assert_eq!(next_scan_in(workers(1_000), &nothing, 1.0), MAX_SCAN_INTERVAL);
    }

    #[test]
    fn idle_workers_scan_less_often() {
        let nothing = NextEvents::default();
        assert_eq!(next_scan_in(idle(0), &nothing, 0.5), ms(1_500));
        assert_eq!(next_scan_in(workers(1), &nothing, 0.5), ms(1_500));
        assert_eq!(next_scan_in(idle(2), &nothing, 0.5), ms(600));
        assert_eq!(next_scan_in(idle(10), &nothing, 0.5), ms(3_000));
        assert_eq!(next_scan_in(idle(1_000), &nothing, 1.0), MAX_SCAN_INTERVAL);
    }

    #[test]
    fn the_first_task_after_an_idle_time_is_missed_within_two_seconds_too() {
        let scan = next_scan_in(idle(2), &NextEvents::default(), 1.0);
        assert!(scan + SESSION_GRACE < Duration::from_secs(2), "{scan:?}");
    }

    #[test]
    fn a_due_event_brings_the_scan_forward() {
        let due = |millis| NextEvents { due: Some(ms(millis)), ..NextEvents::default() };
        assert_eq!(next_scan_in(idle(1), &due(150), 0.5), ms(150));
        assert_eq!(next_scan_in(idle(1), &due(0), 0.5), ms(20), "never without a pause");
        assert_eq!(next_scan_in(workers(10), &due(0), 0.5), ms(200), "nor all at once");
        assert_eq!(next_scan_in(idle(1), &due(100_000), 0.5), ms(1_500));
    }

    #[test]
    fn the_scan_comes_at_the_end_of_a_missed_workers_grace_period() {
        let missed = |millis| NextEvents { lost: Some(ms(millis)), ..NextEvents::default() };
        assert_eq!(next_scan_in(workers(10), &missed(90), 0.5), ms(90));
        assert_eq!(next_scan_in(workers(1_000), &missed(0), 0.5), ms(20));
    }
}
