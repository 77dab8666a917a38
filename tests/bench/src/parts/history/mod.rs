//! Reads with millions of tasks in Postgres, and of tasks with a hundred thousand events, during a
//! light load of sends.
//!
//! SQL loads the tasks: the result of months of work, of thousands of owners and one large one,
//! whose tasks are then read over HTTP. Every answer is checked. Failed reads are counted and the
//! first failure is printed: with that many tasks a slow plan ends in the statement timeout.

mod distribution;
mod light_load;
mod load;
mod page_token;
mod reads;
mod requests;

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    stack::{BenchStack, StackMode},
    stats::{count, latencies, millis},
};
use distribution::TaskDistribution;
use light_load::LightLoad;
use load::LoadResult;
use reads::ReadResult;

/// Total tasks of a full run and of a quick one.
const FULL_TASKS: usize = 10_000_000;
const QUICK_TASKS: usize = 200_000;

/// Log entries of each long task.
const LONG_TASK_EVENTS: usize = 100_000;

/// Settings of Postgres for the load: tables truncated in the same transaction skip the WAL.
/// Autovacuum is off, because it would disturb some rows and not others; tables are vacuumed once
/// instead.
const LOAD_SETTINGS: [(&str, &str); 5] = [
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("autovacuum", "off"),
    ("maintenance_work_mem", "512MB"),
    ("checkpoint_timeout", "30min"),
];

/// Loads the tasks, then measures reads.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(StackMode::Distributed) {
        return Vec::new();
    }
    let plan = bench.plan(StackMode::Distributed);
    let plan = LOAD_SETTINGS.iter().fold(plan, |plan, (key, value)| plan.postgres(key, value));
    let stack = plan.start().await;
    let distribution = TaskDistribution::new(bench.size(FULL_TASKS, QUICK_TASKS));
    let load = load::load(&stack, distribution, LONG_TASK_EVENTS).await;
    let mut figures = vec![loaded(&stack, distribution, &load)];
    let light = LightLoad::start(stack.base());
    for requests in requests::all(&stack, distribution, LONG_TASK_EVENTS).await {
        let result = reads::read(stack.base(), &requests, bench.row_duration()).await;
        if let Some(failure) = &result.failure {
            println!("history, {}: the first failure: {failure}", requests.what);
        }
        figures.push(row(&stack, requests.what.to_owned(), &result));
    }
    let result = light.stop().await;
    figures.push(row(&stack, "the sends meanwhile, 20/s".to_owned(), &result));
    figures
}

fn loaded(stack: &BenchStack, distribution: TaskDistribution, load: &LoadResult) -> Figure {
    let values = vec![
        FigureValue::plain("tasks", count(distribution.tasks), ""),
        FigureValue::plain("of one owner", count(distribution.large()), ""),
        FigureValue::plain("load", load.took.as_secs_f64(), "s"),
        FigureValue::plain("disk", load.gigabytes, "GB"),
    ];
    Figure { stack: stack.mode.name(), part: "history", what: "the load".to_owned(), values }
}

fn row(stack: &BenchStack, what: String, result: &ReadResult) -> Figure {
    let mut values = latencies(&result.latencies);
    values.push(FigureValue::less(
        "max",
        result.latencies.last().copied().map_or(0.0, millis),
        "ms",
    ));
    values.push(FigureValue::plain("answers", count(result.latencies.len()), ""));
    values.push(FigureValue::less("failed", count(result.failed), ""));
    let each = count(result.bytes) / count(result.latencies.len().max(1)) / 1024.0;
    values.push(FigureValue::plain("size", each, "KiB"));
    Figure { stack: stack.mode.name(), part: "history", what, values }
}
