//! When to look again.
//!
//! All workers together look about five times a second, whatever their number, so that one that is gone is missed soon; and
//! earlier when something is due, but then no more than about fifty times a second together. Chance keeps them
//! apart. When a worker has been missed, everybody looks when its second is over.

use super::look::Until;
use std::time::Duration;

/// How long it takes all workers together from one look to the next.
const SHARED: Duration = Duration::from_millis(200);

/// No worker looks more often than this, unless something is due.
const LEAST: Duration = Duration::from_millis(300);

/// The same for one that has nobody to miss.
const ALONE: Duration = Duration::from_secs(1);

/// None looks less often.
const MOST: Duration = Duration::from_secs(5);

/// The same when something is due.
pub const SOON: Duration = Duration::from_millis(20);

/// When to look again, after a look that has shown this. `chance` is from 0 to 1.
pub fn again_in(workers: u32, until: &Until, chance: f64) -> Duration {
    let workers = workers.max(1);
    let least = if workers == 1 { ALONE } else { LEAST };
    let regular = SHARED.saturating_mul(workers).clamp(least, MOST);
    let regular = regular.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0).min(MOST);
    let next = [until.cancel, until.queue, until.due, until.deadline].into_iter().flatten().min();
    let apart = SOON.saturating_mul(workers).min(regular);
    let next = next.map_or(regular, |next| next.max(apart));
    let lost = until.lost.map_or(regular, |lost| lost.max(SOON));
    regular.min(next).min(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn many_workers_look_seldom_and_few_often() {
        let nothing = Until::default();
        assert_eq!(again_in(0, &nothing, 0.5), ALONE);
        assert_eq!(again_in(2, &nothing, 0.5), ms(400));
        assert_eq!(again_in(3, &nothing, 0.5), ms(600));
        assert_eq!(again_in(3, &nothing, 0.0), ms(450), "not all at once");
        assert_eq!(again_in(1_000, &nothing, 1.0), MOST);
    }

    #[test]
    fn what_is_due_is_looked_at_when_it_is() {
        let due = |millis| Until { due: Some(ms(millis)), ..Until::default() };
        assert_eq!(again_in(1, &due(150), 0.5), ms(150));
        assert_eq!(again_in(1, &due(0), 0.5), ms(20), "not without a pause");
        assert_eq!(again_in(10, &due(0), 0.5), ms(200), "nor by everybody at once");
        assert_eq!(again_in(1, &due(100_000), 0.5), ALONE);
    }

    #[test]
    fn the_end_of_a_missed_workers_second_is_not_missed() {
        let missed = |millis| Until { lost: Some(ms(millis)), ..Until::default() };
        assert_eq!(again_in(10, &missed(90), 0.5), ms(90));
        assert_eq!(again_in(1_000, &missed(0), 0.5), ms(20));
    }
}
