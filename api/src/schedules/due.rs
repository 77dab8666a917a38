//! The times of a schedule that are due.

use super::Expression;
use chrono::TimeDelta;
use longhaul_domain::Timestamp;
use longhaul_store::MissedRuns;

/// Longest delay of a firing when missed runs are skipped.
const MISSED_RUN_GRACE: TimeDelta = TimeDelta::seconds(60);

/// Most firings of one schedule per pass; of more, the latest ones.
const MAX_FIRINGS_PER_SCHEDULE: usize = 100;

/// Times to fire, in order, from the first one that is due (`next_at`) to now.
pub fn due_times(
    expression: &Expression,
    missed: MissedRuns,
    next_at: Timestamp,
    now: Timestamp,
) -> Vec<Timestamp> {
    let (earliest, max) = match missed {
        MissedRuns::Skip => (next_at.max(now - MISSED_RUN_GRACE), MAX_FIRINGS_PER_SCHEDULE),
        MissedRuns::Once => (next_at, 1),
        MissedRuns::All => (next_at, MAX_FIRINGS_PER_SCHEDULE),
    };
    // Backwards from the latest, so a long outage costs no more than the times that count.
    let just_after = Timestamp::from_timestamp(now.timestamp() + 1, 0).unwrap_or(now);
    let latest =
        std::iter::successors(expression.last_before(just_after), |at| expression.last_before(*at));
    let mut times: Vec<Timestamp> = latest.take_while(|at| *at >= earliest).take(max).collect();
    // A stored time is due even if the expression no longer yields it.
    if times.is_empty() && next_at >= earliest && next_at <= now {
        times.push(next_at);
    }
    times.reverse();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    fn due(missed: MissedRuns, next_at: &str, now: &str) -> Vec<Timestamp> {
        let minutely = Expression::parse("* * * * *", "UTC").unwrap();
        due_times(&minutely, missed, at(next_at), at(now))
    }

    #[test]
    fn a_time_that_is_just_due_fires_under_every_policy() {
        for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
            assert_eq!(due(missed, "10:00:00", "10:00:00"), [at("10:00:00")]);
            assert_eq!(due(missed, "10:00:00", "10:00:59.9"), [at("10:00:00")]);
        }
    }

    #[test]
    fn missed_times_are_skipped_fired_once_or_all_fired() {
        let due = |missed| due(missed, "10:00:00", "10:03:30");
        assert_eq!(due(MissedRuns::Skip), [at("10:03:00")]);
        assert_eq!(due(MissedRuns::Once), [at("10:03:00")]);
        assert_eq!(
            due(MissedRuns::All),
            [at("10:00:00"), at("10:01:00"), at("10:02:00"), at("10:03:00")]
        );
    }

    #[test]
    fn skipping_missed_times_may_leave_nothing_to_fire() {
        let daily = Expression::parse("0 9 * * *", "UTC").unwrap();
        let due = |missed| due_times(&daily, missed, at("09:00:00"), at("12:00:00"));
        assert!(due(MissedRuns::Skip).is_empty());
        assert_eq!(due(MissedRuns::Once), [at("09:00:00")]);
    }

    #[test]
    fn of_very_many_missed_times_the_latest_fire() {
        let secondly = Expression::parse("* * * * * *", "UTC").unwrap();
        let year_ago = "2025-01-01T00:00:00Z".parse().unwrap();
        let due = due_times(&secondly, MissedRuns::All, year_ago, at("00:00:00"));
        assert_eq!(due.len(), MAX_FIRINGS_PER_SCHEDULE);
        assert_eq!(due.last(), Some(&at("00:00:00")));
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::seconds(1)));
    }
}
