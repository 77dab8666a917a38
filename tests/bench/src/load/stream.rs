//! One stream of many chunks, read as fast as it comes, each chunk checked.

use super::next_number;
use crate::http::{Connection, call_body, chunk::Chunks, message_id};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a whole stream may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Bytes of text in each chunk.
const CHUNK: u32 = 100;

/// What came of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Streamed {
    /// All events: chunks and those about the task.
    pub events: usize,
    /// From the request to the first event.
    pub first: Duration,
    /// From the request to the end.
    pub took: Duration,
}

/// Streams a task of `script` that emits so many chunks; panics when one is missing, twice or out of order.
pub async fn stream(base: &str, chunks: u32) -> Streamed {
    timeout(LIMIT, follow(base, chunks)).await.expect("the stream ends")
}

async fn follow(base: &str, count: u32) -> Streamed {
    let connection = Connection::open(base).await.expect("the server takes connections");
    let body = call_body(
        "SendStreamingMessage",
        &json!({"message": {
            "messageId": message_id(next_number()),
            "role": "ROLE_USER",
            "parts": [{"text": "stream"}],
            "metadata": {"script": {"chunks": {"count": count, "size": CHUNK}}},
        }}),
    );
    let begun = Instant::now();
    let mut events = connection.events("/agents/script", body).await.expect("a stream begins");
    let (mut chunks, mut seen, mut first) = (Chunks::default(), 0, None);
    while let Some(event) = events.next().await.expect("the stream does not break") {
        first.get_or_insert_with(|| begun.elapsed());
        seen += 1;
        chunks.take(&event.data).expect("the event is right");
    }
    let took = begun.elapsed();
    assert!(chunks.are_all(count), "the stream ended too early: {chunks:?} of {count}");
    Streamed { events: seen, first: first.unwrap_or(took), took }
}
