//! Blocking sends in a closed loop, and the memory of each process before and under that load.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::{ClosedLoop, ClosedLoopResult},
    meter::{STATS_DELAY, memory, statements},
    stack::{BenchStack, StackMode},
    stats::{count, latencies},
};
use std::time::Duration;
use tokio::time::sleep;

/// Measures each number of connections on each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for mode in bench.modes() {
        let stack = bench.start(*mode).await;
        wait_for_stats(bench, &stack).await;
        let idle: Vec<f64> =
            stack.processes.iter().map(|one| memory::resident_mib(one.pid())).collect();
        for connections in &bench.options.connections {
            figures.push(row(bench, &stack, *connections).await);
        }
        figures.extend(memory_rows(&stack, &idle));
    }
    figures
}

/// Waits until the sessions of Postgres have reported their commits.
async fn wait_for_stats(bench: &Bench, stack: &BenchStack) {
    if stack.probe.is_some() {
        sleep(if bench.options.quick { Duration::from_millis(1_200) } else { STATS_DELAY }).await;
    }
}

async fn row(bench: &Bench, stack: &BenchStack, connections: usize) -> Figure {
    let load = ClosedLoop {
        connections,
        warm_up: bench.warm_up(),
        measured: bench.row_duration(),
        notification_time: bench.row_duration() / 5,
    };
    let profiled = stack.probe.as_ref().filter(|_| bench.options.statements && stack.profiled);
    if let Some(probe) = profiled {
        statements::reset(probe).await;
    }
    let before = commits(stack).await;
    let closed = load.run(stack).await;
    let what = format!("{connections} connections");
    if let Some(probe) = profiled {
        let profile = statements::read(probe).await;
        statements::print(&what, &profile, count(closed.all));
    }
    wait_for_stats(bench, stack).await;
    let commits = commits(stack).await.zip(before).map(|(after, before)| after - before);
    bench.record_rate(stack.mode, closed.rate());
    let values = values(bench, stack.mode, connections, &closed, commits);
    Figure { stack: stack.mode.name(), part: "waiting", what, values }
}

async fn commits(stack: &BenchStack) -> Option<i64> {
    match &stack.probe {
        Some(probe) => Some(probe.commits().await),
        None => None,
    }
}

fn values(
    bench: &Bench,
    mode: StackMode,
    connections: usize,
    closed: &ClosedLoopResult,
    commits: Option<i64>,
) -> Vec<FigureValue> {
    let rate = closed.rate();
    let mut values = vec![FigureValue::more("rate", rate, "tasks/s")];
    let floor = bench.floor(mode, connections);
    values.extend(floor.map(|floor| FigureValue::more("of floor", rate / floor * 100.0, "%")));
    values.extend(latencies(&closed.latencies));
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
    let commits = commits.map(|commits| commits as f64 / count(closed.all.max(1)));
    values.extend(commits.map(|each| FigureValue::less("commits", each, "")));
    values.extend(closed.notified.map(|each| FigureValue::less("NOTIFYs", each, "")));
    values.extend(closed.usage.values(count(closed.latencies.len())));
    values
}

/// Memory of each process: right after the start, and its peak under load.
fn memory_rows(stack: &BenchStack, idle: &[f64]) -> Vec<Figure> {
    let row = |(process, idle): (&crate::stack::StackProcess, &f64)| Figure {
        stack: stack.mode.name(),
        part: "waiting",
        what: format!("memory of {}", process.name),
        values: vec![
            FigureValue::less("idle", *idle, "MiB"),
            FigureValue::less("loaded", memory::peak_mib(process.pid()), "MiB"),
        ],
    };
    stack.processes.iter().zip(idle).map(row).collect()
}
