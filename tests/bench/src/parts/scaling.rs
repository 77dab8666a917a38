//! Other numbers of API nodes and workers, each process on the same cores: what more of them cost where they cannot bring more.
//!
//! On a machine with cores to spare for each process this shows how the rate grows; on two cores it shows that nothing is lost to
//! contention between nodes, or between workers.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::ClosedLoop,
    meter::statements,
    stack::Mode,
    stats::{count, latencies},
};
use std::time::Duration;

/// Connections, spread over the nodes.
const CONNECTIONS: usize = 256;

/// API nodes and workers.
const FULL: [(usize, usize); 8] = [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (1, 4), (1, 8), (4, 8)];
const QUICK: [(usize, usize); 2] = [(1, 1), (2, 2)];

/// Measures a stack of each size.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(Mode::Distributed) {
        return Vec::new();
    }
    let sizes: &[(usize, usize)] = if bench.options.quick { &QUICK } else { &FULL };
    let mut figures = Vec::new();
    for &(nodes, workers) in sizes {
        figures.push(row(bench, nodes, workers).await);
    }
    figures
}

async fn row(bench: &Bench, nodes: usize, workers: usize) -> Figure {
    let stack = bench.plan(Mode::Distributed).nodes(nodes).workers(workers).start().await;
    let load = ClosedLoop {
        connections: CONNECTIONS,
        warm_up: bench.warm_up(),
        measured: bench.measured(),
        listened: Duration::ZERO,
    };
    let what = format!("{nodes} API nodes, {workers} workers, {CONNECTIONS} connections");
    let profiled = stack.watch.as_ref().filter(|_| bench.options.statements && stack.profiled);
    if let Some(watch) = profiled {
        statements::reset(watch).await;
    }
    let closed = load.run(&stack).await;
    if let Some(watch) = profiled {
        let found = statements::read(watch).await;
        statements::print(&what, &found, count(closed.all));
    }
    let mut values = vec![Value::more("rate", closed.rate(), "tasks/s")];
    values.extend(latencies(&closed.latencies));
    values.extend(closed.usage.values(count(closed.latencies.len())));
    Figure { stack: stack.mode.name(), part: "scaling", what, values }
}
