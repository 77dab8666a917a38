//! When to look again.
//!
//! All workers together look about three times a second, whatever their number, and earlier when something is due: but then
//! no more than about fifty times a second together. When a worker has been missed, everybody looks when its second is over.

use super::look::Until;
use std::time::Duration;

/// How long it takes all workers together from one look to the next.
const SHARED: Duration = Duration::from_micros(333_333);

/// No worker looks more often than this, unless something is due.
const LEAST: Duration = Duration::from_millis(300);

/// None looks less often.
const MOST: Duration = Duration::from_secs(5);

/// The same when something is due.
pub const SOON: Duration = Duration::from_millis(20);

/// When to look again, after a look that has shown this.
pub fn again_in(workers: u32, until: &Until) -> Duration {
    let workers = workers.max(1);
    let regular = SHARED.saturating_mul(workers).clamp(LEAST, MOST);
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
        assert_eq!(again_in(0, &nothing).as_millis(), 333);
        assert_eq!(again_in(3, &nothing).as_millis(), 999);
        assert_eq!(again_in(1_000, &nothing), MOST);
    }

    #[test]
    fn what_is_due_is_looked_at_when_it_is() {
        let due = |millis| Until { due: Some(ms(millis)), ..Until::default() };
        assert_eq!(again_in(1, &due(150)), ms(150));
        assert_eq!(again_in(1, &due(0)), ms(20), "not without a pause");
        assert_eq!(again_in(10, &due(0)), ms(200), "nor by everybody at once");
        assert_eq!(again_in(1, &due(100_000)).as_millis(), 333);
    }

    #[test]
    fn the_end_of_a_missed_workers_second_is_not_missed() {
        let missed = |millis| Until { lost: Some(ms(millis)), ..Until::default() };
        assert_eq!(again_in(10, &missed(90)), ms(90));
        assert_eq!(again_in(1_000, &missed(0)), ms(20));
    }
}
