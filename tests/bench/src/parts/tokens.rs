//! Many streams at once, each of a chunk every 20 ms, which is what agents with a language model do.
//!
//! All streams are under way before measuring begins and until after it ends, and begin spread over a second, so that they do
//! not emit in step. What the node and the worker can do at most is not shown, but how even and how late the chunks come.

use super::subscribers::files;
use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::{Heard, PacedStream, Window},
    meter::{Reading, Usage, memory},
    stack::{Mode, Role, Stack},
    stats::{count, millis, percentile},
};
use futures::future::join_all;
use std::time::{Duration, Instant};
use tokio::time::{sleep_until, timeout};

/// Streams at once.
const FULL: [usize; 4] = [50, 200, 500, 1_000];
const QUICK: [usize; 1] = [50];

/// Time from one chunk of a stream to the next.
const EVERY: Duration = Duration::from_millis(20);

/// Time over which the streams begin, and in which they then settle.
const RAMP: Duration = Duration::from_secs(1);

/// Time that the last streams may take to end once the window is over.
const END_LIMIT: Duration = Duration::from_secs(120);

/// Open files that the driver or a node needs beside those of streams.
const OTHER_FILES: usize = 500;

/// Measures each number of streams on a stack of its own.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let sizes: &[usize] = if bench.options.quick { &QUICK } else { &FULL };
    let mut figures = Vec::new();
    for mode in bench.modes() {
        for &streams in sizes {
            match files::allow(streams + OTHER_FILES) {
                Ok(()) => figures.push(row(bench, *mode, streams).await),
                Err(why) => println!("tokens: skipped {streams} streams: {why}"),
            }
        }
    }
    figures
}

async fn row(bench: &Bench, mode: Mode, streams: usize) -> Figure {
    let plan = bench.plan(mode).set("worker.concurrency", &(streams + 50).to_string());
    let stack = plan.start().await;
    bench.note_stack(&stack);
    let begun = Instant::now();
    let window = Window { from: begun + RAMP * 2, until: begun + RAMP * 2 + bench.measured() };
    let lasts = window.until + RAMP - begun;
    let chunks = u32::try_from(lasts.as_millis() / EVERY.as_millis()).unwrap_or(u32::MAX);
    let share = RAMP / u32::try_from(streams).unwrap_or(u32::MAX);
    let bases: Vec<_> = stack.nodes().map(|node| node.base.clone()).collect();
    let hearing = bases.into_iter().cycle().take(streams).enumerate().map(|(number, base)| {
        let first = begun + share * u32::try_from(number).unwrap_or_default();
        let stream = PacedStream { base, begin: first, chunks, every: EVERY };
        tokio::spawn(timeout(lasts + END_LIMIT, stream.hear(window)))
    });
    let hearing: Vec<_> = hearing.collect();
    sleep_until(window.from.into()).await;
    let before = Reading::take(&stack).await;
    sleep_until(window.until.into()).await;
    let usage = Reading::take(&stack).await.since(&before);
    let sizes = memory_values(&stack);
    let mut heard = Vec::new();
    let mut errors = Vec::new();
    for one in join_all(hearing).await {
        match one.expect("reading does not panic") {
            Ok(Ok(one)) => heard.push(one),
            Ok(Err(failure)) => errors.push(failure.0),
            Err(_) => errors.push("the stream did not end".to_owned()),
        }
    }
    if let Some(error) = errors.first() {
        println!("tokens, {}: the first error: {error}", stack.mode.name());
    }
    let mut values = values(&heard, &usage, errors.len());
    values.extend(sizes);
    let what = format!("{streams} streams, a chunk each {} ms", EVERY.as_millis());
    Figure { stack: stack.mode.name(), part: "tokens", what, values }
}

fn values(heard: &[Heard], usage: &Usage, errors: usize) -> Vec<Value> {
    let sorted = |of: fn(&Heard) -> &Vec<Duration>| {
        let mut all: Vec<_> = heard.iter().flat_map(|one| of(one).iter().copied()).collect();
        all.sort_unstable();
        all
    };
    let (gaps, delays) = (sorted(|one| &one.gaps), sorted(|one| &one.delays));
    let at = |all: &[Duration], percent| millis(percentile(all, percent));
    let chunks = count(delays.len());
    let mut values = vec![
        Value::more("rate", chunks / usage.wall.as_secs_f64(), "chunks/s"),
        Value::less("gap p50", at(&gaps, 50.0), "ms"),
        Value::less("gap p99", at(&gaps, 99.0), "ms"),
        Value::less("gap max", at(&gaps, 100.0), "ms"),
        Value::less("late p50", at(&delays, 50.0), "ms"),
        Value::less("late p99", at(&delays, 99.0), "ms"),
        Value::less("errors", count(errors), ""),
    ];
    let cpu = |role| usage.cpu.get(&role).map(|used| used / chunks.max(1.0) * 1e6);
    for (name, role) in [
        ("CPU dev", Role::Dev),
        ("CPU api", Role::Api),
        ("CPU worker", Role::Worker),
        ("CPU pg", Role::Postgres),
        ("CPU driver", Role::Driver),
    ] {
        values.extend(cpu(role).map(|each| Value::less(name, each, "us/chunk")));
    }
    values
}

/// Memory of the processes under this load, those of a role together.
fn memory_values(stack: &Stack) -> Vec<Value> {
    let of = |role| {
        let all = stack.processes.iter().filter(|one| one.role == role);
        all.map(|one| memory::resident_mib(one.pid())).sum::<f64>()
    };
    [("memory dev", Role::Dev), ("memory api", Role::Api), ("memory worker", Role::Worker)]
        .into_iter()
        .filter(|(_, role)| stack.processes.iter().any(|one| one.role == *role))
        .map(|(name, role)| Value::less(name, of(role), "MiB"))
        .collect()
}
