//! Network routes to Postgres and RabbitMQ, with effects that loopback hides.
//!
//! The closed loop must be about as fast over TCP as over a unix socket: if TCP is slower,
//! something waits for acknowledgements. A delay of a millisecond each way stands for separate
//! machines.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::{ClosedLoop, ClosedLoopResult},
    stack::{NetworkRoute, StackMode},
    stats::{count, latencies},
};
use std::time::Duration;

/// Connections of the closed loop, in a full run and in a quick one.
const FULL_SIZES: [usize; 2] = [64, 256];
const QUICK_SIZES: [usize; 1] = [16];

/// Delay of the route, each way.
const ROUTE_DELAY: Duration = Duration::from_millis(1);

/// Numbers of API nodes and workers to measure with the delay.
const NODE_COUNTS: [(usize, usize); 2] = [(1, 1), (2, 2)];

/// Measures each route.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(StackMode::Distributed) {
        return Vec::new();
    }
    let sizes: &[usize] = if bench.options.quick { &QUICK_SIZES } else { &FULL_SIZES };
    let mut figures = Vec::new();
    for &connections in sizes {
        let socket = measure(bench, NetworkRoute::UnixSocket, (1, 1), connections).await;
        let tcp = measure(bench, NetworkRoute::Tcp, (1, 1), connections).await;
        for (name, closed) in [("unix socket", &socket), ("TCP", &tcp)] {
            let what = format!("{name}, {connections} connections");
            let share = closed.rate() / socket.rate().max(f64::MIN_POSITIVE) * 100.0;
            figures.push(figure(what, closed, Some(FigureValue::more("of socket", share, "%"))));
        }
    }
    for (nodes, workers) in NODE_COUNTS {
        for &connections in sizes {
            let route = NetworkRoute::Latency(ROUTE_DELAY);
            let closed = measure(bench, route, (nodes, workers), connections).await;
            let what = format!(
                "{} ms each way, {nodes} API nodes, {workers} workers, {connections} connections",
                ROUTE_DELAY.as_millis()
            );
            figures.push(figure(what, &closed, None));
        }
    }
    figures
}

async fn measure(
    bench: &Bench,
    route: NetworkRoute,
    (nodes, workers): (usize, usize),
    connections: usize,
) -> ClosedLoopResult {
    let plan = bench.plan(StackMode::Distributed).nodes(nodes).workers(workers).route(route);
    let stack = plan.start().await;
    let load = ClosedLoop {
        connections,
        warm_up: bench.warm_up(),
        measured: bench.row_duration(),
        notification_time: Duration::ZERO,
    };
    load.run(&stack).await
}

fn figure(what: String, closed: &ClosedLoopResult, share: Option<FigureValue>) -> Figure {
    let mut values = vec![FigureValue::more("rate", closed.rate(), "tasks/s")];
    values.extend(share);
    values.extend(latencies(&closed.latencies));
    values.extend(closed.usage.values(count(closed.latencies.len())));
    Figure { stack: StackMode::Distributed.name(), part: "network", what, values }
}
