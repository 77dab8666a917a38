//! Streams of many chunks, one at a time.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::{StreamResult, stream},
    meter::statements,
    stack::BenchStack,
    stats::{count, millis, percentile},
    usage::UsageReading,
};
use std::time::{Duration, Instant};

/// Chunks of a stream.
const LENGTHS: [u32; 2] = [500, 5_000];

/// Fewest streams to measure.
const MIN_STREAMS: usize = 3;

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

async fn row(bench: &Bench, stack: &BenchStack, chunks: u32) -> Figure {
    stream_repeatedly(stack, chunks, bench.warm_up() / 2).await;
    let profiled = stack.probe.as_ref().filter(|_| bench.options.statements && stack.profiled);
    if let Some(probe) = profiled {
        statements::reset(probe).await;
    }
    let before = UsageReading::take(stack).await;
    let streams = stream_repeatedly(stack, chunks, bench.row_duration() / 2).await;
    let usage = UsageReading::take(stack).await.since(&before);
    let sorted = |of: fn(&StreamResult) -> Duration| {
        let mut all: Vec<_> = streams.iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let events: usize = streams.iter().map(|one| one.events).sum();
    let took: Duration = streams.iter().map(|one| one.took).sum();
    let emitted = count(streams.len()) * f64::from(chunks);
    if let Some(probe) = profiled {
        let profile = statements::read(probe).await;
        statements::print(
            &format!("streams of {chunks} chunks, a task being a chunk"),
            &profile,
            emitted,
        );
    }
    let median = |of: fn(&StreamResult) -> Duration| millis(percentile(&sorted(of), 50.0));
    let mut values = vec![
        FigureValue::more("rate", count(events) / took.as_secs_f64(), "events/s"),
        FigureValue::less("first p50", median(|one| one.first), "ms"),
        FigureValue::less("whole p50", median(|one| one.took), "ms"),
        FigureValue::plain("streams", count(streams.len()), ""),
    ];
    values.extend(usage.values(emitted));
    let what = format!("one stream of {chunks} chunks");
    Figure { stack: stack.mode.name(), part: "streams", what, values }
}

/// Streams one after the other for `time`.
async fn stream_repeatedly(stack: &BenchStack, chunks: u32, time: Duration) -> Vec<StreamResult> {
    let begun = Instant::now();
    let mut streams = Vec::new();
    while begun.elapsed() < time || streams.len() < MIN_STREAMS {
        streams.push(stream(stack.base(), chunks).await);
    }
    streams
}
