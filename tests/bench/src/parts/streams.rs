//! One stream of many chunks at a time, again and again.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::{Streamed, stream},
    meter::{Reading, statements},
    stack::Stack,
    stats::{count, millis, percentile},
};
use std::time::{Duration, Instant};

/// Chunks of a stream.
const LENGTHS: [u32; 2] = [500, 5_000];

/// Streams that are measured at least.
const LEAST: usize = 3;

/// Measures each length on each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for mode in bench.modes() {
        let stack = bench.start(*mode).await;
        for chunks in LENGTHS {
            figures.push(row(bench, &stack, chunks).await);
        }
    }
    figures
}

async fn row(bench: &Bench, stack: &Stack, chunks: u32) -> Figure {
    again(stack, chunks, bench.warm_up() / 2).await;
    let profiled = stack.watch.as_ref().filter(|_| bench.options.statements && stack.profiled);
    if let Some(watch) = profiled {
        statements::reset(watch).await;
    }
    let before = Reading::take(stack).await;
    let streams = again(stack, chunks, bench.measured() / 2).await;
    let usage = Reading::take(stack).await.since(&before);
    let sorted = |of: fn(&Streamed) -> Duration| {
        let mut all: Vec<_> = streams.iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let events: usize = streams.iter().map(|one| one.events).sum();
    let took: Duration = streams.iter().map(|one| one.took).sum();
    let emitted = count(streams.len()) * f64::from(chunks);
    if let Some(watch) = profiled {
        let found = statements::read(watch).await;
        statements::print(
            &format!("streams of {chunks} chunks, a task being a chunk"),
            &found,
            emitted,
        );
    }
    let median = |of: fn(&Streamed) -> Duration| millis(percentile(&sorted(of), 50.0));
    let mut values = vec![
        Value::more("rate", count(events) / took.as_secs_f64(), "events/s"),
        Value::less("first p50", median(|one| one.first), "ms"),
        Value::less("whole p50", median(|one| one.took), "ms"),
        Value::plain("streams", count(streams.len()), ""),
    ];
    values.extend(usage.values(emitted));
    let what = format!("one stream of {chunks} chunks");
    Figure { stack: stack.mode.name(), part: "streams", what, values }
}

/// One stream after the other for a while.
async fn again(stack: &Stack, chunks: u32, time: Duration) -> Vec<Streamed> {
    let begun = Instant::now();
    let mut streams = Vec::new();
    while begun.elapsed() < time || streams.len() < LEAST {
        streams.push(stream(stack.base(), chunks).await);
    }
    streams
}
