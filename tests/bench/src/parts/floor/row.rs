//! Rows of the floor.

use crate::{
    figure::{Figure, FigureValue},
    stats::{count, latencies},
};
use std::time::Duration;

/// A row of durations, each for `each` items.
pub(super) fn row(
    what: String,
    unit: &'static str,
    times: &mut [Duration],
    wall: Duration,
    each: usize,
) -> Figure {
    times.sort_unstable();
    let rate = count(times.len() * each) / wall.as_secs_f64();
    let mut values = vec![FigureValue::more("rate", rate, unit)];
    values.extend(latencies(times));
    Figure { stack: "floor", part: "floor", what, values }
}

/// The rate in a [`row`].
pub(super) fn rate(figure: &Figure) -> f64 {
    figure.values.first().map_or(0.0, |value| value.value)
}
