//! Reading with millions of tasks in Postgres, and tasks of a hundred thousand events, while a light load of sends goes on.
//!
//! The tasks are put into the tables by SQL: what months of work would have left behind, of thousands of owners and one large one, whose
//! tasks are then read over HTTP. Every answer is checked. A read that fails is counted, and the first failure is printed:
//! with that many tasks a slow plan ends in the statement's time limit.

mod light;
mod load;
mod reads;
mod requests;
mod spread;
mod token;

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    stack::{Mode, Stack},
    stats::{count, latencies, millis},
};
use light::Light;
use load::Load;
use reads::Found;
use spread::Spread;

/// Tasks in all.
const FULL: usize = 10_000_000;
const QUICK: usize = 200_000;

/// Entries of the two long tasks.
const EVENTS: usize = 100_000;

/// Postgres for the load: rows of tables that are emptied in the same transaction are not written twice. Nothing else changes
/// by it. Autovacuum would run in the middle of some rows and not of others; tables are vacuumed once instead.
const SETTINGS: [(&str, &str); 5] = [
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("autovacuum", "off"),
    ("maintenance_work_mem", "512MB"),
    ("checkpoint_timeout", "30min"),
];

/// Loads, then reads.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(Mode::Distributed) {
        return Vec::new();
    }
    let plan = bench.plan(Mode::Distributed);
    let plan = SETTINGS.iter().fold(plan, |plan, (key, value)| plan.postgres(key, value));
    let stack = plan.start().await;
    let spread = Spread::of(bench.size(FULL, QUICK));
    let load = load::load(&stack, spread, EVENTS).await;
    let mut figures = vec![loaded(&stack, spread, &load)];
    let light = Light::start(stack.base());
    for asked in requests::all(&stack, spread, EVENTS).await {
        let found = reads::read(stack.base(), &asked, bench.measured()).await;
        if let Some(failure) = &found.failure {
            println!("history, {}: the first failure: {failure}", asked.what);
        }
        figures.push(row(&stack, asked.what.to_owned(), &found));
    }
    let found = light.end().await;
    figures.push(row(&stack, "the sends meanwhile, 20/s".to_owned(), &found));
    figures
}

fn loaded(stack: &Stack, spread: Spread, load: &Load) -> Figure {
    let values = vec![
        Value::plain("tasks", count(spread.tasks), ""),
        Value::plain("of one owner", count(spread.large()), ""),
        Value::plain("load", load.took.as_secs_f64(), "s"),
        Value::plain("disk", load.gigabytes, "GB"),
    ];
    Figure { stack: stack.mode.name(), part: "history", what: "the load".to_owned(), values }
}

fn row(stack: &Stack, what: String, found: &Found) -> Figure {
    let mut values = latencies(&found.latencies);
    values.push(Value::less("max", found.latencies.last().copied().map_or(0.0, millis), "ms"));
    values.push(Value::plain("answers", count(found.latencies.len()), ""));
    values.push(Value::less("failed", count(found.failed), ""));
    let each = count(found.bytes) / count(found.latencies.len().max(1)) / 1024.0;
    values.push(Value::plain("size", each, "KiB"));
    Figure { stack: stack.mode.name(), part: "history", what, values }
}
