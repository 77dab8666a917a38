//! One stream of many chunks.

use crate::{report::Row, stack::Stack, wal::Counters};
use longhaul_tests::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// Streams a task of `script` that emits so many chunks, and checks that all of them arrive in order.
pub async fn one(stack: &Stack, chunks: u32) -> Row {
    let client = Client::new(&stack.base).rpc_path("/agents/script");
    let before = stack.database.as_ref().map(Counters::read);
    let cpu = stack.cpu_seconds();
    let begun = Instant::now();
    let mut events = client.stream("SendStreamingMessage", request(chunks)).await;
    let (mut seen, mut total) = (0, 0u32);
    while let Some((_, event)) = events.next_result(SILENCE).await {
        total += 1;
        seen += u32::from(event.get("artifactUpdate").is_some());
        if let Some(state) = event.pointer("/statusUpdate/status/state").and_then(Value::as_str) {
            assert_ne!(state, "TASK_STATE_FAILED", "the stream failed: {event}");
        }
    }
    let took = begun.elapsed();
    assert_eq!(seen, chunks, "chunks were lost");
    let cpu = stack.cpu_seconds() - cpu;
    let written = stack.database.as_ref().zip(before);
    let written = written.map(|(database, before)| Counters::read(database).since(before));
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
    let per_chunk = |n: i64| n as f64 / f64::from(chunks);
    Row {
        stack: stack.mode.name(),
        what: format!("one stream of {chunks} chunks (WAL, commits per chunk)"),
        rate: f64::from(total) / took.as_secs_f64(),
        unit: "events/s",
        p50: None,
        p99: None,
        wal_bytes: written.map(|(wal, _)| per_chunk(wal)),
        commits: written.map(|(_, commits)| per_chunk(commits)),
        cpu_per_thousand: Some(cpu / f64::from(total) * 1000.0),
    }
}

fn request(chunks: u32) -> Value {
    json!({"message": {
        "messageId": format!("bench-{chunks}"),
        "role": "ROLE_USER",
        "parts": [{"text": "stream"}],
        "metadata": {"script": {"chunks": {"count": chunks, "size": 100}}},
    }})
}
