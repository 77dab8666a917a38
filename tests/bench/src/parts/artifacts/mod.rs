//! Large artifacts through one task, with a reader that streams: memory stays flat however much goes through.
//!
//! Chunks below 64 KiB stay in the log, larger parts become blobs. A reader receives all of it, in order, as it is made; then the whole task is
//! fetched. What fits into an answer (`server.max_answer_bytes`, 64 MiB) must come back whole; what does not must be
//! refused with a word on how to stream it. Memory is the kernel's own account of the most that a process had resident.

mod made;
mod reader;

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    http::Connection,
    meter::memory,
    stack::{Role, Stack},
    stats::count,
};
use made::Made;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Bytes in a MiB.
const MIB: usize = 1 << 20;

/// How long a stream or an answer may take.
const LIMIT: Duration = Duration::from_secs(180);

/// Chunks that stay in the log, below 64 KiB with all that is about them, and parts that become blobs.
const INLINE: usize = 62_500;
const BLOB: usize = 2 * MIB;

/// The usual limit of one answer.
const MAX_ANSWER: usize = 64 * MIB;

/// Measures each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    let full = [8 * MIB, 40 * MIB, 100 * MIB];
    let quick = [2 * MIB, 8 * MIB];
    let sizes: &[usize] = if bench.options.quick { &quick } else { &full };
    for mode in bench.modes() {
        for part in [INLINE, BLOB] {
            for size in sizes {
                // A stack for each: an allocator keeps what a smaller one needed, and the growth would not show.
                let stack = bench.start(*mode).await;
                figures.push(row(&stack, Made { count: size.div_ceil(part), size: part }).await);
            }
        }
    }
    figures
}

async fn row(stack: &Stack, made: Made) -> Figure {
    sleep(Duration::from_secs(1)).await;
    let before = Marks::set(stack);
    let begun = Instant::now();
    let streamed = timeout(LIMIT, reader::stream(stack.base(), made)).await;
    let task = streamed.expect("the stream has not ended in time");
    let took = begun.elapsed().as_secs_f64();
    let while_streaming = before.grown();
    let begun = Instant::now();
    let fetched = timeout(LIMIT, fetch(stack, &task, made)).await.expect("no answer in time");
    let fetching = begun.elapsed();
    let after_all = before.grown();
    let mib = count(made.bytes()) / count(MIB);
    let mut values = vec![Value::more("rate", mib / took, "MiB/s")];
    let node = |marks: &[(Role, f64)]| {
        marks.iter().find(|(role, _)| *role != Role::Worker).map(|one| one.1)
    };
    let worker = |marks: &[(Role, f64)]| {
        marks.iter().find(|(role, _)| *role == Role::Worker).map(|one| one.1)
    };
    values.extend(node(&while_streaming).map(|mib| Value::less("node grew", mib, "MiB")));
    values.extend(worker(&while_streaming).map(|mib| Value::less("worker grew", mib, "MiB")));
    values.extend(node(&after_all).map(|mib| Value::less("node, fetch too", mib, "MiB")));
    values.push(Value::plain("fetched", count(fetched) / count(MIB), "MiB"));
    values.push(Value::less("fetch", fetching.as_secs_f64() * 1e3, "ms"));
    let kind = if made.size > 64 << 10 { "blobs" } else { "chunks" };
    let what = format!("{mib:.0} MiB in {kind} of {} KiB", made.size / 1024);
    Figure { stack: stack.mode.name(), part: "artifacts", what, values }
}

/// Gets the whole task; gives the bytes of the answer, none where it is rightly refused.
async fn fetch(stack: &Stack, task: &str, made: Made) -> usize {
    let mut connection = Connection::open(stack.base()).await.expect("the node answers");
    let params = serde_json::json!({ "id": task });
    let answer = connection.call("/agents/script", "GetTask", &params).await;
    let answer = answer.expect("the node answers");
    // What surrounds the contents counts too: near the limit either is right, and nothing here is near.
    if made.bytes() > MAX_ANSWER {
        let code = answer.json().pointer("/error/code").and_then(serde_json::Value::as_i64);
        assert_eq!(code, Some(-32004), "not refused: {} bytes", answer.body.len());
        return 0;
    }
    made.check_task(&answer.body);
    answer.body.len()
}

/// Memory of Longhaul's own processes before something.
struct Marks(Vec<(Role, u32, f64)>);

impl Marks {
    /// Lets the peaks begin anew.
    fn set(stack: &Stack) -> Self {
        let mark = |(role, pid): (Role, u32)| {
            memory::forget_peak(pid);
            (role, pid, memory::resident_mib(pid))
        };
        let own = |role: &Role| matches!(role, Role::Dev | Role::Api | Role::Worker);
        Self(stack.roots().into_iter().filter(|(role, _)| own(role)).map(mark).collect())
    }

    /// The most that each process had since, above what it had then, in MiB.
    fn grown(&self) -> Vec<(Role, f64)> {
        self.0.iter().map(|(role, pid, before)| (*role, memory::peak_mib(*pid) - before)).collect()
    }
}
