//! When to look again.
//!
//! While something runs, all workers together look about five times a second, whatever their number, so that one that is gone is
//! missed soon. Where nothing runs they look less often, but a task may begin the moment after: one of few still looks often
//! enough that its task runs elsewhere in under two seconds. One that is alone has nobody to miss. Everybody looks earlier when
//! something is due, but then no more than about fifty times a second together. Chance keeps them apart. When a worker has been missed, everybody looks when its second is over.

use super::look::{Until, Workers};
use std::time::Duration;

/// How long it takes all workers together from one look to the next; no worker looks more often than the second, unless
/// something is due.
const SHARED: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(300)];

/// The same where nothing runs yet.
const QUIET: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(600)];

/// The same for one that is alone.
const ALONE: [Duration; 2] = [Duration::from_millis(1_500); 2];

/// None looks less often.
const MOST: Duration = Duration::from_secs(5);

/// The same when something is due.
pub const SOON: Duration = Duration::from_millis(20);

/// When to look again, after a look that has shown this. `chance` is from 0 to 1.
pub fn again_in(workers: Workers, until: &Until, chance: f64) -> Duration {
    let [shared, least] = match (workers.number, workers.running) {
        (0 | 1, _) => ALONE,
        (_, true) => SHARED,
        (_, false) => QUIET,
    };
    let workers = workers.number.max(1);
    let regular = shared.saturating_mul(workers).clamp(least, MOST);
    let regular = regular.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0).min(MOST);
    let next = [until.cancel, until.queue, until.due, until.deadline].into_iter().flatten().min();
    let apart = SOON.saturating_mul(workers).min(regular);
    let next = next.map_or(regular, |next| next.max(apart));
    let lost = until.lost.map_or(regular, |lost| lost.max(SOON));
    regular.min(next).min(lost)
}

#[cfg(test)]
mod tests {
    use super::{super::look::GRACE, *};

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const fn workers(number: u32) -> Workers {
        Workers { number, running: true, lost: false, changed: false }
    }

    const fn idle(number: u32) -> Workers {
        Workers { running: false, ..workers(number) }
    }

    #[test]
    fn many_workers_look_seldom_and_few_often() {
        let nothing = Until::default();
        assert_eq!(again_in(workers(2), &nothing, 0.5), ms(400));
        assert_eq!(again_in(workers(3), &nothing, 0.5), ms(600));
        assert_eq!(again_in(workers(3), &nothing, 0.0), ms(450), "not all at once");
        assert_eq!(again_in(workers(1_000), &nothing, 1.0), MOST);
    }

    #[test]
    fn where_nothing_runs_the_looks_are_few() {
        let nothing = Until::default();
        assert_eq!(again_in(idle(0), &nothing, 0.5), ms(1_500));
        assert_eq!(again_in(workers(1), &nothing, 0.5), ms(1_500));
        assert_eq!(again_in(idle(2), &nothing, 0.5), ms(600));
        assert_eq!(again_in(idle(10), &nothing, 0.5), ms(3_000));
        assert_eq!(again_in(idle(1_000), &nothing, 1.0), MOST);
    }

    #[test]
    fn the_first_task_after_a_quiet_while_is_missed_within_two_seconds_too() {
        let look = again_in(idle(2), &Until::default(), 1.0);
        assert!(look + GRACE < Duration::from_secs(2), "{look:?}");
    }

    #[test]
    fn what_is_due_is_looked_at_when_it_is() {
        let due = |millis| Until { due: Some(ms(millis)), ..Until::default() };
        assert_eq!(again_in(idle(1), &due(150), 0.5), ms(150));
        assert_eq!(again_in(idle(1), &due(0), 0.5), ms(20), "not without a pause");
        assert_eq!(again_in(workers(10), &due(0), 0.5), ms(200), "nor by everybody at once");
        assert_eq!(again_in(idle(1), &due(100_000), 0.5), ms(1_500));
    }

    #[test]
    fn the_end_of_a_missed_workers_second_is_not_missed() {
        let missed = |millis| Until { lost: Some(ms(millis)), ..Until::default() };
        assert_eq!(again_in(workers(10), &missed(90), 0.5), ms(90));
        assert_eq!(again_in(workers(1_000), &missed(0), 0.5), ms(20));
    }
}
