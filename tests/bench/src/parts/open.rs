//! Waiting sends at a fixed arrival rate: half of the peak of the closed loop, unless another rate is given.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::{ClosedLoop, OpenLoop},
    stack::Stack,
    stats::{count, latencies, millis, percentile},
};
use std::time::Duration;

/// Requests that can be under way: far more than half of the peak needs.
const CONNECTIONS: usize = 512;

/// Connections with which the peak is looked for when no earlier part did.
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

/// The highest rate of the closed loop that this run knows of, measured now when it knows of none.
pub async fn peak(bench: &Bench, stack: &Stack) -> f64 {
    if let Some(peak) = bench.peak(stack.mode) {
        return peak;
    }
    let load = ClosedLoop {
        connections: PEAK_CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.measured(),
        listened: Duration::ZERO,
    };
    let rate = load.run(stack).await.rate();
    bench.note_rate(stack.mode, rate);
    rate
}

async fn row(bench: &Bench, stack: &Stack, rate: f64, what: String) -> Figure {
    let load = OpenLoop {
        rate,
        connections: CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.measured(),
    };
    let open = load.run(stack).await;
    if let Some(error) = &open.error {
        println!("open, {}: the first error: {error}", stack.mode.name());
    }
    let mut values = vec![
        Value::plain("offered", rate, "tasks/s"),
        Value::plain("served", open.goodput, "tasks/s"),
    ];
    values.extend(latencies(&open.latencies));
    values.push(Value::less("p99.9", millis(percentile(&open.latencies, 99.9)), "ms"));
    values.push(Value::less("late", count(open.late), ""));
    values.push(Value::less("refused", count(open.refusals.len()), ""));
    values.push(Value::less("errors", count(open.errors), ""));
    values.extend(open.usage.values(count(open.latencies.len())));
    Figure { stack: stack.mode.name(), part: "open", what, values }
}
