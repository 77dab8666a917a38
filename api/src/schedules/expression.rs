//! Cron expressions in a time zone.
//!
//! Five fields (minute, hour, day of month, month, day of week), or six with seconds first; names,
//! ranges, steps, lists, `L`, `#`, `W`, and nicknames such as `@daily`. When clocks go forward, an
//! expression with one fixed time of day fires at the end of the gap; others skip the gap. When
//! clocks go back, the former fires once, the first time; others fire in both hours.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron, JobType,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use longhaul_domain::Timestamp;

/// Longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 200;

/// An invalid expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The cron expression is invalid.
    #[error("cron: {0}; write five fields, or six with seconds first, as in \"0 9 * * mon-fri\"")]
    Cron(String),
    /// The time zone is unknown.
    #[error("timeZone: there is no zone named {0:?}; use a name such as Europe/Berlin or UTC")]
    Zone(String),
}

/// A search of the cron library, forwards or backwards.
type Find = fn(&Cron, &DateTime<Utc>, bool) -> Result<DateTime<Utc>, CronError>;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Expression {
    cron: Cron,
    zone: Tz,
}

impl Expression {
    /// Parses an expression and the name of a time zone.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, ExpressionError> {
        let bad = |why: String| ExpressionError::Cron(why.trim_end_matches('.').to_owned());
        if cron.len() > MAX_EXPRESSION_BYTES {
            return Err(bad(format!("is longer than {MAX_EXPRESSION_BYTES} bytes")));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(cron).map_err(|error| bad(error.to_string()))?;
        let zone = zone.parse().map_err(|_| {
            ExpressionError::Zone(zone.chars().filter(|c| !c.is_control()).take(64).collect())
        })?;
        Ok(Self { cron, zone })
    }

    /// First time after another; `None` when the library finds none in its range of years.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.local(at)?;
        // The library's own answer, and the gap that it misses: the nearer one counts.
        let found = self.cron.find_next_occurrence(&local, false).ok().map(|at| at.to_utc());
        let skipped = self.skipped(local.naive_local(), Cron::find_next_occurrence);
        found.into_iter().chain(skipped).filter(|found| *found > at).min()
    }

    /// Last time before another; `None` when there is none.
    pub fn last_before(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.local(at)?;
        let found = self.cron.find_previous_occurrence(&local, false).ok().map(|at| at.to_utc());
        let skipped = self.skipped(local.naive_local(), Cron::find_previous_occurrence);
        found.into_iter().chain(skipped).filter(|found| *found < at).max()
    }

    /// End of the gap that a fixed time of day falls into, nearest to this local time. The cron
    /// library looks only at the day on which the gap ends, which need not be the day that the
    /// expression names.
    fn skipped(&self, local: NaiveDateTime, find: Find) -> Option<Timestamp> {
        if self.cron.determine_job_type() != JobType::FixedTime {
            return None;
        }
        let wanted = find(&self.cron, &local.and_utc(), false).ok()?.naive_utc();
        match self.zone.from_local_datetime(&wanted) {
            LocalResult::None => self.end_of_gap(wanted),
            LocalResult::Single(_) | LocalResult::Ambiguous(..) => None,
        }
    }

    /// First moment after the gap that contains this local time.
    fn end_of_gap(&self, within: NaiveDateTime) -> Option<Timestamp> {
        let after = |seconds: i64| {
            let local = within.checked_add_signed(TimeDelta::seconds(seconds))?;
            self.zone.from_local_datetime(&local).earliest()
        };
        // No zone has ever skipped more than a day and a half.
        let (mut inside, mut outside) = (0, 36 * 3600);
        after(outside)?;
        while outside - inside > 1 {
            let middle = i64::midpoint(inside, outside);
            if after(middle).is_some() { outside = middle } else { inside = middle }
        }
        after(outside).map(|at| at.to_utc())
    }

    /// Converts a time into the zone, in whole seconds.
    fn local(&self, at: Timestamp) -> Option<DateTime<Tz>> {
        Some(Timestamp::from_timestamp(at.timestamp(), 0)?.with_timezone(&self.zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The next `count` times after one, in UTC.
    fn next(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let expression = Expression::parse(cron, zone).unwrap();
        let times = std::iter::successors(Some(at(after)), |at| expression.next_after(*at));
        times.skip(1).take(count).map(|at| at.format("%m-%dT%H:%M:%S").to_string()).collect()
    }

    #[test]
    fn fields_names_steps_and_nicknames_are_parsed() {
        let start = "2026-01-01T00:00:00Z";
        assert_eq!(next("30 9 * * mon-fri", "UTC", start, 2), ["01-01T09:30:00", "01-02T09:30:00"]);
        assert_eq!(next("*/20 * * * * *", "UTC", start, 2), ["01-01T00:00:20", "01-01T00:00:40"]);
        assert_eq!(next("@daily", "UTC", start, 1), ["01-02T00:00:00"]);
        assert_eq!(next("0 0 1 jan,jul *", "UTC", start, 2), ["07-01T00:00:00", "01-01T00:00:00"]);
        assert_eq!(next("0 12 * * *", "Asia/Kolkata", start, 1), ["01-01T06:30:00"]);
    }

    #[test]
    fn invalid_expressions_are_refused_with_advice() {
        for cron in ["", "* * * *", "61 * * * *", "* * * * * * *", "no", "@never", "* * * * *\0"] {
            let error = Expression::parse(cron, "UTC").unwrap_err();
            assert!(matches!(error, ExpressionError::Cron(_)), "{cron}: {error}");
        }
        assert!(Expression::parse(&"1,".repeat(200), "UTC").is_err());
        let error = Expression::parse("@daily", "Europe/Atlantis").unwrap_err();
        assert!(error.to_string().contains("Europe/Atlantis"), "{error}");
    }

    #[test]
    fn a_daily_time_in_the_gap_fires_at_its_end_and_in_the_fold_once() {
        // Berlin: 29 March 2026 has no 02:30, 25 October 2026 has two.
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            ["03-28T01:30:00", "03-29T01:00:00", "03-30T00:30:00"]
        );
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["10-25T00:30:00", "10-26T01:30:00"]
        );
    }

    #[test]
    fn a_time_in_a_gap_that_ends_on_the_next_day_fires_at_its_end() {
        // Nuuk: Saturday, 27 March 2027, goes from 23:00 to Sunday, 0:00.
        assert_eq!(
            next("30 23 * * sat", "America/Nuuk", "2027-03-27T23:00:00Z", 2),
            ["03-28T01:00:00", "04-04T00:30:00"]
        );
        // Apia had no 30 December 2011, a Friday.
        assert_eq!(
            next("0 12 * * fri", "Pacific/Apia", "2011-12-29T00:00:00Z", 2),
            ["12-30T10:00:00", "01-05T22:00:00"]
        );
        let nuuk = Expression::parse("30 23 27 3 *", "America/Nuuk").unwrap();
        let end = at("2027-03-28T01:00:00Z");
        assert_eq!(nuuk.last_before(at("2027-03-28T01:00:01Z")), Some(end));
        assert_eq!(nuuk.next_after(at("2027-03-28T00:59:59Z")), Some(end));
        assert!(nuuk.last_before(end).unwrap() < end && nuuk.next_after(end).unwrap() > end);
    }

    #[test]
    fn an_interval_skips_the_gap_and_fires_throughout_the_fold() {
        assert_eq!(
            next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2),
            ["03-29T01:00:00", "03-29T01:30:00"]
        );
        assert_eq!(
            next("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4),
            ["10-25T00:00:00", "10-25T01:00:00", "10-25T02:00:00", "10-25T03:00:00"]
        );
    }

    #[test]
    fn a_leap_day_fires_in_its_year_and_an_impossible_day_never() {
        let leap = Expression::parse("0 0 29 2 *", "UTC").unwrap();
        assert_eq!(leap.next_after(at("2026-01-01T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(leap.last_before(at("2026-01-01T00:00:00Z")), Some(at("2024-02-29T00:00:00Z")));
        let never = Expression::parse("0 0 30 2 *", "UTC").unwrap();
        assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(never.last_before(at("2026-01-01T00:00:00Z")), None);
    }

    proptest! {
        #[test]
        fn searching_backwards_finds_the_same_times(
            second in 1_767_225_600i64..1_830_297_600,
            cron in prop::sample::select(vec![
                "30 2 * * *", "*/15 * * * *", "0 0 1 * *", "0 */2 * * sun", "15,45 1-3 * * *",
                "*/7 * * * * *", "0 3 * * *", "0 0 * * *", "30 23 * * sat",
            ]),
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
                "America/Nuuk",
            ]),
        ) {
            let expression = Expression::parse(cron, zone).unwrap();
            let start = Timestamp::from_timestamp(second, 0).unwrap();
            let first = expression.next_after(start).unwrap();
            let second = expression.next_after(first).unwrap();
            prop_assert!(start < first && first < second);
            prop_assert_eq!(expression.last_before(second), Some(first));
        }
    }
}
