//! One stream of many chunks, read at full speed, with every chunk checked.

use super::ids::next_number;
use crate::http::{HttpConnection, call_body, chunk::Chunks, message_id};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest time for a stream.
const STREAM_TIMEOUT: Duration = Duration::from_secs(120);

/// Bytes of text in each chunk.
const CHUNK_BYTES: u32 = 100;

/// Result of one stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamResult {
    /// Number of events: chunks and task events.
    pub events: usize,
    /// Time from the request to the first event.
    pub first: Duration,
    /// Time from the request to the end.
    pub took: Duration,
}

/// Streams a task of `script` with this number of chunks. Panics on a missing, duplicate or
/// misplaced chunk.
pub async fn stream(base: &str, chunks: u32) -> StreamResult {
    timeout(STREAM_TIMEOUT, follow(base, chunks)).await.expect("the stream ends")
}

async fn follow(base: &str, count: u32) -> StreamResult {
    let connection = HttpConnection::open(base).await.expect("the server takes connections");
    let body = call_body(
        "SendStreamingMessage",
        &json!({"message": {
            "messageId": message_id(next_number()),
            "role": "ROLE_USER",
            "parts": [{"text": "stream"}],
            "metadata": {"script": {"chunks": {"count": count, "size": CHUNK_BYTES}}},
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
    assert!(chunks.is_complete(count), "the stream ended too early: {chunks:?} of {count}");
    StreamResult { events: seen, first: first.unwrap_or(took), took }
}
