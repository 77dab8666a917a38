//! More arrivals than can be served: what is served then, and how the rest is answered.
//!
//! The peak is measured in a closed loop on the same stack just before; twice of it arrives for a while, whatever the answers are. Refused
//! clients here do not heed `Retry-After`: the offered rate stays. Good is a goodput near the peak, a bounded latency of what
//! was accepted, and 429 with `Retry-After` for everything else.

use super::subscribers::files;
use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::{ClosedLoop, OpenLoop},
    stack::{Mode, Stack},
    stats::{count, latencies, millis, percentile},
};
use std::time::Duration;

/// Connections of the closed loop.
const PEAK_CONNECTIONS: usize = 256;

/// How many times the peak arrives.
const FACTOR: f64 = 2.0;

/// A queue that holds about half a second of work here, for the row with a limit on its depth.
const DEPTH: &str = "2000";

/// Open files that a process needs beside those of clients.
const OTHER_FILES: usize = 500;

/// Measures each stack as it is, and with a limit on the depth of its queue.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    // A node has 10,000 by default. A request that finds all of them busy starts late, and its latency counts from when it
    // was meant to start.
    let connections = bench.size(8_192, 2_048);
    if let Err(why) = files::allow(connections + OTHER_FILES) {
        println!("overload: skipped: {why}");
        return Vec::new();
    }
    let mut figures = Vec::new();
    for mode in bench.modes() {
        for depth in [None, Some(DEPTH)] {
            figures.push(row(bench, *mode, depth, connections).await);
        }
    }
    figures
}

async fn row(bench: &Bench, mode: Mode, depth: Option<&str>, connections: usize) -> Figure {
    let plan = bench.plan(mode);
    let plan = match depth {
        Some(depth) => {
            plan.set("server.max_queued", depth).set("server.max_queued_per_owner", depth)
        }
        None => plan,
    };
    let stack = plan.start().await;
    let peak = peak(bench, &stack).await;
    let offered = peak * FACTOR;
    let measured = bench.measured() * 2;
    let load = OpenLoop { rate: offered, connections, warm_up: bench.warm_up(), measured };
    let open = load.run(&stack).await;
    if let Some(error) = &open.error {
        println!("overload, {}: the first other answer: {error}", mode.name());
    }
    let second = measured.as_secs_f64();
    let mut values = vec![
        Value::plain("peak", peak, "tasks/s"),
        Value::plain("offered", offered, "tasks/s"),
        Value::more("goodput", open.goodput, "tasks/s"),
        Value::more("of the peak", open.goodput / peak * 100.0, "%"),
        Value::plain("429", count(open.refusals.len()) / second, "/s"),
        Value::less("no Retry-After", count(open.hintless), ""),
        Value::less("other", count(open.errors), ""),
        Value::less("late", count(open.late), ""),
    ];
    values.extend(latencies(&open.latencies));
    values.push(Value::less("429 p99", millis(percentile(&open.refusals, 99.0)), "ms"));
    let what = match depth {
        Some(depth) => format!("twice the peak rate, max_queued={depth}"),
        None => "twice the peak rate".to_owned(),
    };
    Figure { stack: mode.name(), part: "overload", what, values }
}

async fn peak(bench: &Bench, stack: &Stack) -> f64 {
    let load = ClosedLoop {
        connections: PEAK_CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.measured() / 2,
        listened: Duration::ZERO,
    };
    let rate = load.run(stack).await.rate();
    bench.note_rate(stack.mode, rate);
    rate
}
