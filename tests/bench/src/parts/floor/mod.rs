//! What this machine can do at most: what follows is a share of it.
//!
//! The smallest durable task in SQL (accepted, claimed, ended), the broker's way of a message, a commit of SQLite, and what they
//! all stand on, a write that is on the disk. Nothing of Longhaul takes part.

mod amqp;
mod disk;
mod postgres;
mod sqlite;

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    stack::Mode,
    stats::{count, latencies},
};
use std::time::Duration;

/// Measures all of it.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let time = bench.measured() / 4;
    let mut figures = disk::run(time);
    if bench.wants(Mode::Embedded) {
        figures.extend(sqlite::run(bench, time));
    }
    if bench.wants(Mode::Distributed) {
        figures.extend(postgres::run(bench, time).await);
        figures.extend(amqp::run(time).await);
    }
    figures
}

/// A row: so many things in each of these times, one after the other in each of so many lanes.
fn row(
    what: String,
    unit: &'static str,
    times: &mut [Duration],
    wall: Duration,
    each: usize,
) -> Figure {
    times.sort_unstable();
    let rate = count(times.len() * each) / wall.as_secs_f64();
    let mut values = vec![Value::more("rate", rate, unit)];
    values.extend(latencies(times));
    Figure { stack: "floor", part: "floor", what, values }
}

/// The rate of a [`row`].
fn rate(figure: &Figure) -> f64 {
    figure.values.first().map_or(0.0, |value| value.value)
}
