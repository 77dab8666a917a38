//! Which times of a schedule are to be fired now.

use super::Expression;
use chrono::TimeDelta;
use longhaul_domain::Timestamp;
use longhaul_store::MissedRuns;

/// How late a time may be fired where missed ones are left out.
const GRACE: TimeDelta = TimeDelta::seconds(60);

/// The most times that are fired for one look; of more, the most recent ones.
const MOST: usize = 100;

/// The times to fire, from the one that was due first (`next_at`) to now, in order. Later than now there is none.
pub fn times(
    expression: &Expression,
    missed: MissedRuns,
    next_at: Timestamp,
    now: Timestamp,
) -> Vec<Timestamp> {
    let (earliest, most) = match missed {
        MissedRuns::Skip => (next_at.max(now - GRACE), MOST),
        MissedRuns::Once => (next_at, 1),
        MissedRuns::All => (next_at, MOST),
    };
    // From the latest backwards: however long nobody fired, only those that count are looked at.
    let just_after = Timestamp::from_timestamp(now.timestamp() + 1, 0).unwrap_or(now);
    let latest =
        std::iter::successors(expression.last_before(just_after), |at| expression.last_before(*at));
    let mut times: Vec<Timestamp> = latest.take_while(|at| *at >= earliest).take(most).collect();
    // What was due is due, also when the expression was read otherwise before.
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
        times(&minutely, missed, at(next_at), at(now))
    }

    #[test]
    fn a_time_that_has_just_come_is_fired_whatever_is_said_of_missed_ones() {
        for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
            assert_eq!(due(missed, "10:00:00", "10:00:00"), [at("10:00:00")]);
            assert_eq!(due(missed, "10:00:00", "10:00:59.9"), [at("10:00:00")]);
        }
    }

    #[test]
    fn missed_times_are_left_out_made_up_for_once_or_all_made_up_for() {
        let due = |missed| due(missed, "10:00:00", "10:03:30");
        assert_eq!(due(MissedRuns::Skip), [at("10:03:00")]);
        assert_eq!(due(MissedRuns::Once), [at("10:03:00")]);
        assert_eq!(
            due(MissedRuns::All),
            [at("10:00:00"), at("10:01:00"), at("10:02:00"), at("10:03:00")]
        );
    }

    #[test]
    fn where_missed_times_are_left_out_there_may_be_nothing_to_fire() {
        let daily = Expression::parse("0 9 * * *", "UTC").unwrap();
        let due = |missed| times(&daily, missed, at("09:00:00"), at("12:00:00"));
        assert!(due(MissedRuns::Skip).is_empty());
        assert_eq!(due(MissedRuns::Once), [at("09:00:00")]);
    }

    #[test]
    fn of_very_many_missed_times_the_most_recent_are_made_up_for() {
        let secondly = Expression::parse("* * * * * *", "UTC").unwrap();
        let year_ago = "2025-01-01T00:00:00Z".parse().unwrap();
        let due = times(&secondly, MissedRuns::All, year_ago, at("00:00:00"));
        assert_eq!(due.len(), MOST);
        assert_eq!(due.last(), Some(&at("00:00:00")));
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::seconds(1)));
    }
}
