//! One stream at a steady rate, like that of a language model: gaps between chunks and their delay.

use super::ids::next_number;
use crate::http::{HttpConnection, RequestError, SseEvents, call_body, chunk::Chunks, message_id};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep_until;

/// Bytes of text in each chunk: a token or two, and a timestamp.
const CHUNK_BYTES: u32 = 40;

/// The time in which chunks count.
#[derive(Debug, Clone, Copy)]
pub struct MeasuredWindow {
    /// Start of the measurement.
    pub from: Instant,
    /// End of the measurement.
    pub until: Instant,
}

/// A stream of chunks at a steady rate.
#[derive(Debug, Clone)]
pub struct PacedStream {
    /// Base URL of a node, `http://127.0.0.1:PORT`.
    pub base: String,
    /// Time of the request.
    pub begin: Instant,
    /// Number of chunks.
    pub chunks: u32,
    /// Time between two chunks.
    pub every: Duration,
}

/// Result of a stream within the window.
#[derive(Debug, Default)]
pub struct PacedStreamResult {
    /// Times between consecutive chunks.
    pub gaps: Vec<Duration>,
    /// Times from the executor's emit to the arrival here.
    pub delays: Vec<Duration>,
}

impl PacedStream {
    /// Reads the stream to its end. A missing, duplicate or misplaced chunk is an error.
    pub async fn read(self, window: MeasuredWindow) -> Result<PacedStreamResult, RequestError> {
        sleep_until(self.begin.into()).await;
        let mut events = self.open().await?;
        let (mut chunks, mut result) = (Chunks::default(), PacedStreamResult::default());
        let mut before: Option<Instant> = None;
        while let Some(event) = events.next().await? {
            let (now, wall) = (Instant::now(), SystemTime::now());
            let counts = now >= window.from && now < window.until;
            let taken = chunks.take_each(&event.data, |text| {
                if counts {
                    result.delays.push(age(text, wall));
                    result.gaps.extend(before.map(|before| now - before));
                }
                before = Some(now);
            });
            taken.map_err(RequestError)?;
        }
        if chunks.is_complete(self.chunks) {
            Ok(result)
        } else {
            Err(RequestError(format!("the stream ended too early: {chunks:?} of {}", self.chunks)))
        }
    }

    async fn open(&self) -> Result<SseEvents, RequestError> {
        let every = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX);
        let paced =
            json!({"count": self.chunks, "size": CHUNK_BYTES, "everyMs": every, "stamped": true});
        let message = json!({
            "messageId": message_id(next_number()),
            "role": "ROLE_USER",
            "parts": [{"text": "stream"}],
            "metadata": {"script": {"chunks": paced}},
        });
        let body = call_body("SendStreamingMessage", &json!({"message": message}));
        HttpConnection::open(&self.base).await?.events("/agents/script", body).await
    }
}

/// The age of a chunk, by its second word: a timestamp of the executor, which shares our clock.
fn age(text: &str, now: SystemTime) -> Duration {
    let emitted = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let emitted = Duration::from_micros(emitted.unwrap_or_default());
    now.duration_since(UNIX_EPOCH + emitted).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::age;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_age_of_a_chunk_follows_from_its_timestamp() {
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_005);
        assert_eq!(age("0000001 1700000000000000 0123", now), Duration::from_millis(5));
        assert_eq!(age("0000001 1700000000009000 ", now), Duration::ZERO, "from the future");
    }
}
