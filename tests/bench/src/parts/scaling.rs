//! Other numbers of API nodes and workers, all on the same cores.
//!
//! On a machine with spare cores this shows how the rate grows. On two cores it shows that
//! contention between nodes, or between workers, costs nothing.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::ClosedLoop,
    meter::statements,
    stack::StackMode,
    stats::{count, latencies},
};
use std::time::Duration;

/// Connections, spread over the nodes.
const CONNECTIONS: usize = 256;

/// Numbers of API nodes and workers, in a full run and in a quick one.
const FULL_SIZES: [(usize, usize); 8] =
    [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (1, 4), (1, 8), (4, 8)];
const QUICK_SIZES: [(usize, usize); 2] = [(1, 1), (2, 2)];

/// Measures a stack of each size.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(StackMode::Distributed) {
        return Vec::new();
    }
    let sizes: &[(usize, usize)] = if bench.options.quick { &QUICK_SIZES } else { &FULL_SIZES };
    let mut figures = Vec::new();
    for &(nodes, workers) in sizes {
        figures.push(row(bench, nodes, workers).await);
    }
    figures
}

async fn row(bench: &Bench, nodes: usize, workers: usize) -> Figure {
    let stack = bench.plan(StackMode::Distributed).nodes(nodes).workers(workers).start().await;
    let load = ClosedLoop {
        connections: CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.row_duration(),
        notification_time: Duration::ZERO,
    };
    let what = format!("{nodes} API nodes, {workers} workers, {CONNECTIONS} connections");
    let profiled = stack.probe.as_ref().filter(|_| bench.options.statements && stack.profiled);
    if let Some(probe) = profiled {
        statements::reset(probe).await;
    }
    let closed = load.run(&stack).await;
    if let Some(probe) = profiled {
        let profile = statements::read(probe).await;
        statements::print(&what, &profile, count(closed.all));
    }
    let mut values = vec![FigureValue::more("rate", closed.rate(), "tasks/s")];
    values.extend(latencies(&closed.latencies));
    values.extend(closed.usage.values(count(closed.latencies.len())));
    Figure { stack: stack.mode.name(), part: "scaling", what, values }
}
