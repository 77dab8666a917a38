//! Bytes of WAL for each chunk, by the length of the stream: flat, when a chunk costs the same however many came before.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    load::stream,
    meter::Reading,
    stack::{Mode, Stack},
};

/// Chunks of a stream.
const LENGTHS: [u32; 3] = [100, 1_000, 10_000];

/// Chunks of all streams of a length together: full images of pages after a checkpoint then weigh little, and the same.
const TOGETHER: u32 = 10_000;

/// Measures each length on Postgres.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    if bench.wants(Mode::Distributed) {
        let stack = bench.start(Mode::Distributed).await;
        stream(stack.base(), TOGETHER).await;
        for chunks in LENGTHS {
            figures.push(row(&stack, chunks).await);
        }
    }
    figures
}

async fn row(stack: &Stack, chunks: u32) -> Figure {
    let before = Reading::take(stack).await;
    for _ in 0..TOGETHER / chunks {
        stream(stack.base(), chunks).await;
    }
    let usage = Reading::take(stack).await.since(&before);
    let mut values = Vec::new();
    if let Some(written) = usage.written {
        #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
        let each = |n: i64| n as f64 / f64::from(TOGETHER);
        values.push(Value::less("WAL", each(written.wal), "B/chunk"));
        values.push(Value::less("writes", each(written.writes), "/chunk"));
    }
    let what = format!("streams of {chunks} chunks");
    Figure { stack: stack.mode.name(), part: "wal", what, values }
}
