//! Blocking sends at a fixed arrival rate, by default half the peak of the closed loop.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::{ClosedLoop, OpenLoop},
    stack::BenchStack,
    stats::{count, latencies, millis, percentile},
};
use std::time::Duration;

/// Most requests in flight: far more than half the peak needs.
const CONNECTIONS: usize = 512;

/// Connections to measure the peak with, when no earlier part did.
const PEAK_CONNECTIONS: usize = 256;

/// Measures each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for mode in bench.modes() {
        let stack = bench.start(*mode).await;
        let (rate, title) = match bench.options.rate {
            Some(rate) => (rate, format!("{rate:.0} arrivals/s")),
            None => (peak(bench, &stack).await / 2.0, "half of the peak rate".to_owned()),
        };
        figures.push(row(bench, &stack, rate, title).await);
    }
    figures
}

/// The peak rate of the closed loop, measured now if no earlier part did.
pub async fn peak(bench: &Bench, stack: &BenchStack) -> f64 {
    if let Some(peak) = bench.peak(stack.mode) {
        return peak;
    }
    let load = ClosedLoop {
        connections: PEAK_CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.row_duration(),
        notification_time: Duration::ZERO,
    };
    let rate = load.run(stack).await.rate();
    bench.record_rate(stack.mode, rate);
    rate
}

async fn row(bench: &Bench, stack: &BenchStack, rate: f64, what: String) -> Figure {
    let load = OpenLoop {
        rate,
        connections: CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.row_duration(),
    };
    let open = load.run(stack).await;
    if let Some(error) = &open.error {
        println!("open, {}: the first error: {error}", stack.mode.name());
    }
    let mut values = vec![
        FigureValue::plain("offered", rate, "tasks/s"),
        FigureValue::plain("served", open.goodput, "tasks/s"),
    ];
    values.extend(latencies(&open.latencies));
    values.push(FigureValue::less("p99.9", millis(percentile(&open.latencies, 99.9)), "ms"));
    values.push(FigureValue::less("late", count(open.late), ""));
    values.push(FigureValue::less("refused", count(open.refusals.len()), ""));
    values.push(FigureValue::less("errors", count(open.errors), ""));
    values.extend(open.usage.values(count(open.latencies.len())));
    Figure { stack: stack.mode.name(), part: "open", what, values }
}
