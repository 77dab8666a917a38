//! Ways to Postgres and RabbitMQ: what loopback hides.
//!
//! Over a unix socket and over TCP the closed loop must be about as fast: where TCP is slower, something waits for
//! acknowledgements. A millisecond each way is what processes on several machines have between them.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::{Closed, ClosedLoop},
    stack::{Mode, Route},
    stats::{count, latencies},
};
use std::time::Duration;

/// Connections of the closed loop.
const FULL: [usize; 2] = [64, 256];
const QUICK: [usize; 1] = [16];

/// Delay each way.
const DELAY: Duration = Duration::from_millis(1);

/// API nodes and workers that are also measured with the delay.
const SIZES: [(usize, usize); 2] = [(1, 1), (2, 2)];

/// Measures each way.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(Mode::Distributed) {
        return Vec::new();
    }
    let sizes: &[usize] = if bench.options.quick { &QUICK } else { &FULL };
    let mut figures = Vec::new();
    for &connections in sizes {
        let socket = measure(bench, Route::UnixSocket, (1, 1), connections).await;
        let tcp = measure(bench, Route::Tcp, (1, 1), connections).await;
        for (name, closed) in [("unix socket", &socket), ("TCP", &tcp)] {
            let what = format!("{name}, {connections} connections");
            let share = closed.rate() / socket.rate().max(f64::MIN_POSITIVE) * 100.0;
            figures.push(figure(what, closed, Some(Value::more("of socket", share, "%"))));
        }
    }
    for (nodes, workers) in SIZES {
        for &connections in sizes {
            let route = Route::Latency(DELAY);
            let closed = measure(bench, route, (nodes, workers), connections).await;
            let what = format!(
                "{} ms each way, {nodes} API nodes, {workers} workers, {connections} connections",
                DELAY.as_millis()
            );
            figures.push(figure(what, &closed, None));
        }
    }
    figures
}

async fn measure(
    bench: &Bench,
    route: Route,
    (nodes, workers): (usize, usize),
    connections: usize,
) -> Closed {
    let plan = bench.plan(Mode::Distributed).nodes(nodes).workers(workers).route(route);
    let stack = plan.start().await;
    let load = ClosedLoop {
        connections,
        warm_up: bench.warm_up(),
        measured: bench.measured(),
        listened: Duration::ZERO,
    };
    load.run(&stack).await
}

fn figure(what: String, closed: &Closed, share: Option<Value>) -> Figure {
    let mut values = vec![Value::more("rate", closed.rate(), "tasks/s")];
    values.extend(share);
    values.extend(latencies(&closed.latencies));
    values.extend(closed.usage.values(count(closed.latencies.len())));
    Figure { stack: Mode::Distributed.name(), part: "network", what, values }
}
