//! Percentiles and conversions.

use crate::figure::Value;
use std::time::Duration;

/// The smallest of sorted values that so many percent of them do not exceed; zero when there are none.
pub fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    let rank = (count(sorted.len()) * percent / 100.0).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// Milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A number of things as what a figure holds.
#[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
pub const fn count(things: usize) -> f64 {
    things as f64
}

/// [`count`] of what a counter says.
#[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
pub const fn counted(things: u64) -> f64 {
    things as f64
}

/// The median and the 99th percentile of sorted latencies.
pub fn latencies(sorted: &[Duration]) -> Vec<Value> {
    vec![
        Value::less("p50", millis(percentile(sorted, 50.0)), "ms"),
        Value::less("p99", millis(percentile(sorted, 99.0)), "ms"),
    ]
}

#[cfg(test)]
mod tests {
    use super::percentile;
    use std::time::Duration;

    #[test]
    fn a_percentile_is_a_value_that_was_measured_and_that_so_many_do_not_exceed() {
        let values: Vec<_> = (1..=1_000).map(Duration::from_millis).collect();
        let at = |percent| percentile(&values, percent).as_millis();
        assert_eq!((at(0.0), at(50.0), at(99.0), at(99.9), at(100.0)), (1, 500, 990, 999, 1_000));
    }

    #[test]
    fn few_values_and_none_have_percentiles_too() {
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(9));
        assert_eq!(percentile(&[short, long], 50.0), short);
        assert_eq!(percentile(&[short, long], 99.0), long);
        assert_eq!(percentile(&[], 99.0), Duration::ZERO);
    }
}
