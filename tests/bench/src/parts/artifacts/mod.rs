//! Large artifacts of one task with a streaming reader: memory must stay flat.
//!
//! Chunks below 64 KiB stay in the log; larger parts become blobs. A reader receives the artifact
//! in order as it is made, and then fetches the whole task. A task within `server.max_answer_bytes`
//! (64 MiB) must come back complete; a larger one must be refused with a hint to stream it. Memory
//! is the kernel's peak of a process' resident memory.

mod reader;
mod scripted_artifact;

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    http::HttpConnection,
    meter::memory,
    stack::{BenchStack, StackRole},
    stats::count,
};
use scripted_artifact::ScriptedArtifact;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Bytes per MiB.
const MIB: usize = 1 << 20;

/// Longest time for a stream or an answer.
const STREAM_TIMEOUT: Duration = Duration::from_secs(180);

/// Size of chunks that stay in the log: below 64 KiB with their envelope.
const INLINE_CHUNK_BYTES: usize = 62_500;

/// Size of chunks that become blobs.
const BLOB_CHUNK_BYTES: usize = 2 * MIB;

/// Default limit of an answer.
const MAX_ANSWER_BYTES: usize = 64 * MIB;

/// Measures each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    let full = [8 * MIB, 40 * MIB, 100 * MIB];
    let quick = [2 * MIB, 8 * MIB];
    let sizes: &[usize] = if bench.options.quick { &quick } else { &full };
    for mode in bench.modes() {
        for part in [INLINE_CHUNK_BYTES, BLOB_CHUNK_BYTES] {
            for size in sizes {
                // A new stack each time: allocators keep memory of smaller artifacts, which hides
                // growth.
                let stack = bench.start(*mode).await;
                figures.push(
                    row(&stack, ScriptedArtifact { count: size.div_ceil(part), size: part }).await,
                );
            }
        }
    }
    figures
}

async fn row(stack: &BenchStack, artifact: ScriptedArtifact) -> Figure {
    sleep(Duration::from_secs(1)).await;
    let before = MemoryMarks::record(stack);
    let begun = Instant::now();
    let streamed = timeout(STREAM_TIMEOUT, reader::stream(stack.base(), artifact)).await;
    let task = streamed.expect("the stream has not ended in time");
    let took = begun.elapsed().as_secs_f64();
    let while_streaming = before.growth();
    let begun = Instant::now();
    let fetched =
        timeout(STREAM_TIMEOUT, fetch(stack, &task, artifact)).await.expect("no answer in time");
    let fetching = begun.elapsed();
    let after_all = before.growth();
    let mib = count(artifact.bytes()) / count(MIB);
    let mut values = vec![FigureValue::more("rate", mib / took, "MiB/s")];
    let node = |marks: &[(StackRole, f64)]| {
        marks.iter().find(|(role, _)| *role != StackRole::Worker).map(|one| one.1)
    };
    let worker = |marks: &[(StackRole, f64)]| {
        marks.iter().find(|(role, _)| *role == StackRole::Worker).map(|one| one.1)
    };
    values.extend(node(&while_streaming).map(|mib| FigureValue::less("node grew", mib, "MiB")));
    values.extend(worker(&while_streaming).map(|mib| FigureValue::less("worker grew", mib, "MiB")));
    values.extend(node(&after_all).map(|mib| FigureValue::less("node, fetch too", mib, "MiB")));
    values.push(FigureValue::plain("fetched", count(fetched) / count(MIB), "MiB"));
    values.push(FigureValue::less("fetch", fetching.as_secs_f64() * 1e3, "ms"));
    let kind = if artifact.size > 64 << 10 { "blobs" } else { "chunks" };
    let what = format!("{mib:.0} MiB in {kind} of {} KiB", artifact.size / 1024);
    Figure { stack: stack.mode.name(), part: "artifacts", what, values }
}

/// Fetches the whole task; returns the bytes of the answer, 0 when it is rightly refused.
async fn fetch(stack: &BenchStack, task: &str, artifact: ScriptedArtifact) -> usize {
    let mut connection = HttpConnection::open(stack.base()).await.expect("the node answers");
    let params = serde_json::json!({ "id": task });
    let answer = connection.call("/agents/script", "GetTask", &params).await;
    let answer = answer.expect("the node answers");
    // The envelope counts too, so near the limit both would be right; no size here is near.
    if artifact.bytes() > MAX_ANSWER_BYTES {
        let code = answer.json().pointer("/error/code").and_then(serde_json::Value::as_i64);
        assert_eq!(code, Some(-32004), "not refused: {} bytes", answer.body.len());
        return 0;
    }
    artifact.check_task(&answer.body);
    answer.body.len()
}

/// Resident memory of Longhaul's processes at one instant.
struct MemoryMarks(Vec<(StackRole, u32, f64)>);

impl MemoryMarks {
    /// Records the current memory, and resets the peaks.
    fn record(stack: &BenchStack) -> Self {
        let mark = |(role, pid): (StackRole, u32)| {
            memory::reset_peak(pid);
            (role, pid, memory::resident_mib(pid))
        };
        let own =
            |role: &StackRole| matches!(role, StackRole::Dev | StackRole::Api | StackRole::Worker);
        Self(stack.roots().into_iter().filter(|(role, _)| own(role)).map(mark).collect())
    }

    /// The growth of each process since then, at its peak, in MiB.
    fn growth(&self) -> Vec<(StackRole, f64)> {
        self.0.iter().map(|(role, pid, before)| (*role, memory::peak_mib(*pid) - before)).collect()
    }
}
