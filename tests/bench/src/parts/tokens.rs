//! Concurrent streams with a chunk every 20 ms each, like those of agents with a language model.
//!
//! All streams run before, during and after the measurement. Their starts are spread over a second,
//! so that they do not emit in step. The figures show how evenly and how late chunks arrive, not
//! the maximum of node and worker.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::{MeasuredWindow, PacedStream, PacedStreamResult},
    meter::memory,
    open_files,
    stack::{BenchStack, StackMode, StackRole},
    stats::{count, millis, percentile},
    usage::{StackUsage, UsageReading},
};
use futures::future::join_all;
use std::time::{Duration, Instant};
use tokio::time::{sleep_until, timeout};

/// Concurrent streams, in a full run and in a quick one.
const FULL_SIZES: [usize; 4] = [50, 200, 500, 1_000];
const QUICK_SIZES: [usize; 1] = [50];

/// Time between two chunks of a stream.
const CHUNK_INTERVAL: Duration = Duration::from_millis(20);

/// Time over which the streams start, and then settle.
const RAMP: Duration = Duration::from_secs(1);

/// Longest time for the last streams to end after the measurement.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Open files of the driver or a node besides streams.
const OTHER_FILES: usize = 500;

/// Measures each number of streams on a stack of its own.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let sizes: &[usize] = if bench.options.quick { &QUICK_SIZES } else { &FULL_SIZES };
    let mut figures = Vec::new();
    for mode in bench.modes() {
        for &streams in sizes {
            match open_files::raise_limit(streams + OTHER_FILES) {
                Ok(()) => figures.push(row(bench, *mode, streams).await),
                Err(why) => println!("tokens: skipped {streams} streams: {why}"),
            }
        }
    }
    figures
}

async fn row(bench: &Bench, mode: StackMode, streams: usize) -> Figure {
    let plan = bench.plan(mode).set("worker.concurrency", &(streams + 50).to_string());
    let stack = plan.start().await;
    bench.record_stack(&stack);
    let begun = Instant::now();
    let window =
        MeasuredWindow { from: begun + RAMP * 2, until: begun + RAMP * 2 + bench.row_duration() };
    let lasts = window.until + RAMP - begun;
    let chunks = u32::try_from(lasts.as_millis() / CHUNK_INTERVAL.as_millis()).unwrap_or(u32::MAX);
    let share = RAMP / u32::try_from(streams).unwrap_or(u32::MAX);
    let bases: Vec<_> = stack.nodes().map(|node| node.base.clone()).collect();
    let readers = bases.into_iter().cycle().take(streams).enumerate().map(|(number, base)| {
        let first = begun + share * u32::try_from(number).unwrap_or_default();
        let stream = PacedStream { base, begin: first, chunks, every: CHUNK_INTERVAL };
        tokio::spawn(timeout(lasts + LAST_ANSWER_TIMEOUT, stream.read(window)))
    });
    let readers: Vec<_> = readers.collect();
    sleep_until(window.from.into()).await;
    let before = UsageReading::take(&stack).await;
    sleep_until(window.until.into()).await;
    let usage = UsageReading::take(&stack).await.since(&before);
    let sizes = memory_values(&stack);
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for one in join_all(readers).await {
        match one.expect("reading does not panic") {
            Ok(Ok(one)) => results.push(one),
            Ok(Err(failure)) => errors.push(failure.0),
            Err(_) => errors.push("the stream did not end".to_owned()),
        }
    }
    if let Some(error) = errors.first() {
        println!("tokens, {}: the first error: {error}", stack.mode.name());
    }
    let mut values = values(&results, &usage, errors.len());
    values.extend(sizes);
    let what = format!("{streams} streams, a chunk each {} ms", CHUNK_INTERVAL.as_millis());
    Figure { stack: stack.mode.name(), part: "tokens", what, values }
}

fn values(results: &[PacedStreamResult], usage: &StackUsage, errors: usize) -> Vec<FigureValue> {
    let sorted = |of: fn(&PacedStreamResult) -> &Vec<Duration>| {
        let mut all: Vec<_> = results.iter().flat_map(|one| of(one).iter().copied()).collect();
        all.sort_unstable();
        all
    };
    let (gaps, delays) = (sorted(|one| &one.gaps), sorted(|one| &one.delays));
    let at = |all: &[Duration], percent| millis(percentile(all, percent));
    let chunks = count(delays.len());
    let mut values = vec![
        FigureValue::more("rate", chunks / usage.wall.as_secs_f64(), "chunks/s"),
        FigureValue::less("gap p50", at(&gaps, 50.0), "ms"),
        FigureValue::less("gap p99", at(&gaps, 99.0), "ms"),
        FigureValue::less("gap max", at(&gaps, 100.0), "ms"),
        FigureValue::less("late p50", at(&delays, 50.0), "ms"),
        FigureValue::less("late p99", at(&delays, 99.0), "ms"),
        FigureValue::less("errors", count(errors), ""),
    ];
    let cpu = |role| usage.cpu.get(&role).map(|used| used / chunks.max(1.0) * 1e6);
    for (name, role) in [
        ("CPU dev", StackRole::Dev),
        ("CPU api", StackRole::Api),
        ("CPU worker", StackRole::Worker),
        ("CPU pg", StackRole::Postgres),
        ("CPU driver", StackRole::Driver),
    ] {
        values.extend(cpu(role).map(|each| FigureValue::less(name, each, "us/chunk")));
    }
    values
}

/// Memory of the processes under this load, summed by role.
fn memory_values(stack: &BenchStack) -> Vec<FigureValue> {
    let of = |role| {
        let all = stack.processes.iter().filter(|one| one.role == role);
        all.map(|one| memory::resident_mib(one.pid())).sum::<f64>()
    };
    [
        ("memory dev", StackRole::Dev),
        ("memory api", StackRole::Api),
        ("memory worker", StackRole::Worker),
    ]
    .into_iter()
    .filter(|(_, role)| stack.processes.iter().any(|one| one.role == *role))
    .map(|(name, role)| FigureValue::less(name, of(role), "MiB"))
    .collect()
}
