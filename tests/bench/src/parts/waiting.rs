//! Waiting sends in a closed loop, and the memory of each process before and under that load.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::{Closed, ClosedLoop},
    meter::{SETTLING, memory, statements},
    stack::{Mode, Stack},
    stats::{count, latencies},
};
use std::time::Duration;
use tokio::time::sleep;

/// Measures each number of connections on each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for mode in bench.modes() {
        let stack = bench.start(*mode).await;
        settle(bench, &stack).await;
        let idle: Vec<f64> =
            stack.processes.iter().map(|one| memory::resident_mib(one.pid())).collect();
        for connections in &bench.options.connections {
            figures.push(row(bench, &stack, *connections).await);
        }
        figures.extend(memory_rows(&stack, &idle));
    }
    figures
}

/// Waits until the sessions of Postgres have told what they committed.
async fn settle(bench: &Bench, stack: &Stack) {
    if stack.watch.is_some() {
        sleep(if bench.options.quick { Duration::from_millis(1_200) } else { SETTLING }).await;
    }
}

async fn row(bench: &Bench, stack: &Stack, connections: usize) -> Figure {
    let load = ClosedLoop {
        connections,
        warm_up: bench.warm_up(),
        measured: bench.measured(),
        listened: bench.measured() / 5,
    };
    let profiled = stack.watch.as_ref().filter(|_| bench.options.statements && stack.profiled);
    if let Some(watch) = profiled {
        statements::reset(watch).await;
    }
    let before = commits(stack).await;
    let closed = load.run(stack).await;
    let what = format!("{connections} connections");
    if let Some(watch) = profiled {
        let found = statements::read(watch).await;
        statements::print(&what, &found, count(closed.all));
    }
    settle(bench, stack).await;
    let commits = commits(stack).await.zip(before).map(|(after, before)| after - before);
    bench.note_rate(stack.mode, closed.rate());
    let values = values(bench, stack.mode, connections, &closed, commits);
    Figure { stack: stack.mode.name(), part: "waiting", what, values }
}

async fn commits(stack: &Stack) -> Option<i64> {
    match &stack.watch {
        Some(watch) => Some(watch.commits().await),
        None => None,
    }
}

fn values(
    bench: &Bench,
    mode: Mode,
    connections: usize,
    closed: &Closed,
    commits: Option<i64>,
) -> Vec<Value> {
    let rate = closed.rate();
    let mut values = vec![Value::more("rate", rate, "tasks/s")];
    let floor = bench.floor(mode, connections);
    values.extend(floor.map(|floor| Value::more("of floor", rate / floor * 100.0, "%")));
    values.extend(latencies(&closed.latencies));
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
    let commits = commits.map(|commits| commits as f64 / count(closed.all.max(1)));
    values.extend(commits.map(|each| Value::less("commits", each, "")));
    values.extend(closed.notified.map(|each| Value::less("NOTIFYs", each, "")));
    values.extend(closed.usage.values(count(closed.latencies.len())));
    values
}

/// Memory of each process: right after the start, and at most under all the load since.
fn memory_rows(stack: &Stack, idle: &[f64]) -> Vec<Figure> {
    let row = |(process, idle): (&crate::stack::Process, &f64)| Figure {
        stack: stack.mode.name(),
        part: "waiting",
        what: format!("memory of {}", process.name),
        values: vec![
            Value::less("idle", *idle, "MiB"),
            Value::less("loaded", memory::peak_mib(process.pid()), "MiB"),
        ],
    };
    stack.processes.iter().zip(idle).map(row).collect()
}
