//! Percentiles and conversions.

use crate::figure::FigureValue;
use std::time::Duration;

/// The nearest-rank percentile of sorted values; zero when there are none.
pub fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    let rank = (count(sorted.len()) * percent / 100.0).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// A duration in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Converts a count for a figure.
#[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
pub const fn count(n: usize) -> f64 {
    n as f64
}

/// Converts a counter for a figure.
#[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
pub const fn counted(n: u64) -> f64 {
    n as f64
}

/// The median and the 99th percentile of sorted latencies.
pub fn latencies(sorted: &[Duration]) -> Vec<FigureValue> {
    vec![
        FigureValue::less("p50", millis(percentile(sorted, 50.0)), "ms"),
        FigureValue::less("p99", millis(percentile(sorted, 99.0)), "ms"),
    ]
}

#[cfg(test)]
mod tests {
    use super::percentile;
    use std::time::Duration;

    #[test]
    fn a_percentile_is_a_measured_value() {
        let values: Vec<_> = (1..=1_000).map(Duration::from_millis).collect();
        let at = |percent| percentile(&values, percent).as_millis();
        assert_eq!((at(0.0), at(50.0), at(99.0), at(99.9), at(100.0)), (1, 500, 990, 999, 1_000));
    }

    #[test]
    fn few_or_no_values_have_percentiles_too() {
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(9));
        assert_eq!(percentile(&[short, long], 50.0), short);
        assert_eq!(percentile(&[short, long], 99.0), long);
        assert_eq!(percentile(&[], 99.0), Duration::ZERO);
    }
}
