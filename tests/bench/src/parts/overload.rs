//! Overload: goodput and answers when more requests arrive than can be served.
//!
//! A closed loop on the same stack measures the peak first. Then twice the peak arrives, regardless
//! of the answers: clients ignore `Retry-After` here. A good result is a goodput near the peak, a
//! bounded latency of accepted requests, and 429 with `Retry-After` for all others.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::{ClosedLoop, OpenLoop},
    open_files,
    stack::{BenchStack, StackMode},
    stats::{count, latencies, millis, percentile},
};
use std::time::Duration;

/// Connections of the closed loop.
const PEAK_CONNECTIONS: usize = 256;

/// Offered rate as a multiple of the peak.
const OVERLOAD_FACTOR: f64 = 2.0;

/// Queue limit of the second row: about half a second of work here.
const QUEUE_LIMIT: &str = "2000";

/// Open files of a process besides connections of clients.
const OTHER_FILES: usize = 500;

/// Measures each stack by default, and with a queue limit.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    // Below the default limit of a node, 10,000. A request that finds all connections busy starts
    // late, and its latency counts from its planned start.
    let connections = bench.size(8_192, 2_048);
    if let Err(why) = open_files::raise_limit(connections + OTHER_FILES) {
        println!("overload: skipped: {why}");
        return Vec::new();
    }
    let mut figures = Vec::new();
    for mode in bench.modes() {
        for depth in [None, Some(QUEUE_LIMIT)] {
            figures.push(row(bench, *mode, depth, connections).await);
        }
    }
    figures
}

async fn row(bench: &Bench, mode: StackMode, depth: Option<&str>, connections: usize) -> Figure {
    let plan = bench.plan(mode);
    let plan = match depth {
        Some(depth) => {
            plan.set("server.max_queued", depth).set("server.max_queued_per_owner", depth)
        }
        None => plan,
    };
    let stack = plan.start().await;
    let peak = peak(bench, &stack).await;
    let offered = peak * OVERLOAD_FACTOR;
    let measured = bench.row_duration() * 2;
    let load = OpenLoop { rate: offered, connections, warm_up: bench.warm_up(), measured };
    let open = load.run(&stack).await;
    if let Some(error) = &open.error {
        println!("overload, {}: the first other answer: {error}", mode.name());
    }
    let second = measured.as_secs_f64();
    let mut values = vec![
        FigureValue::plain("peak", peak, "tasks/s"),
        FigureValue::plain("offered", offered, "tasks/s"),
        FigureValue::more("goodput", open.goodput, "tasks/s"),
        FigureValue::more("of the peak", open.goodput / peak * 100.0, "%"),
        FigureValue::plain("429", count(open.refusals.len()) / second, "/s"),
        FigureValue::less("no Retry-After", count(open.without_retry_after), ""),
        FigureValue::less("other", count(open.errors), ""),
        FigureValue::less("late", count(open.late), ""),
    ];
    values.extend(latencies(&open.latencies));
    values.push(FigureValue::less("429 p99", millis(percentile(&open.refusals, 99.0)), "ms"));
    let what = match depth {
        Some(depth) => format!("twice the peak rate, max_queued={depth}"),
        None => "twice the peak rate".to_owned(),
    };
    Figure { stack: mode.name(), part: "overload", what, values }
}

async fn peak(bench: &Bench, stack: &BenchStack) -> f64 {
    let load = ClosedLoop {
        connections: PEAK_CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.row_duration() / 2,
        notification_time: Duration::ZERO,
    };
    let rate = load.run(stack).await.rate();
    bench.record_rate(stack.mode, rate);
    rate
}
