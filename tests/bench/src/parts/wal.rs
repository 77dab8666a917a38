//! Bytes of WAL per chunk by the length of the stream: flat if a chunk costs the same however many
//! came before.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::stream,
    stack::{BenchStack, StackMode},
    usage::UsageReading,
};

/// Chunks of a stream.
const LENGTHS: [u32; 3] = [100, 1_000, 10_000];

/// Total chunks of each length: enough that full page images after a checkpoint weigh little and
/// equally.
const CHUNKS_PER_LENGTH: u32 = 10_000;

/// Measures each length on Postgres.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    if bench.wants(StackMode::Distributed) {
        let stack = bench.start(StackMode::Distributed).await;
        stream(stack.base(), CHUNKS_PER_LENGTH).await;
        for chunks in LENGTHS {
            figures.push(row(&stack, chunks).await);
        }
    }
    figures
}

async fn row(stack: &BenchStack, chunks: u32) -> Figure {
    let before = UsageReading::take(stack).await;
    for _ in 0..CHUNKS_PER_LENGTH / chunks {
        stream(stack.base(), chunks).await;
    }
    let usage = UsageReading::take(stack).await.since(&before);
    let mut values = Vec::new();
    if let Some(written) = usage.written {
        #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
        let each = |n: i64| n as f64 / f64::from(CHUNKS_PER_LENGTH);
        values.push(FigureValue::less("WAL", each(written.wal), "B/chunk"));
        values.push(FigureValue::less("writes", each(written.writes), "/chunk"));
    }
    let what = format!("streams of {chunks} chunks");
    Figure { stack: stack.mode.name(), part: "wal", what, values }
}
