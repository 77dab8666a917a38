//! One stream whose executor emits at a steady rate, as a language model does: when each chunk comes, and how old it is.

use super::next_number;
use crate::http::{Connection, Events, Failure, call_body, chunk::Chunks, message_id};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep_until;

/// Bytes of text in each chunk: a token or two, and its time.
const CHUNK: u32 = 40;

/// When chunks count.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// From here.
    pub from: Instant,
    /// To here.
    pub until: Instant,
}

/// What to stream.
#[derive(Debug, Clone)]
pub struct PacedStream {
    /// `http://127.0.0.1:PORT` of a node.
    pub base: String,
    /// When to ask for it.
    pub begin: Instant,
    /// Chunks in all.
    pub chunks: u32,
    /// Time from one to the next.
    pub every: Duration,
}

/// What came in the window.
#[derive(Debug, Default)]
pub struct Heard {
    /// Time from each chunk to the next.
    pub gaps: Vec<Duration>,
    /// Time from the executor's emit to here.
    pub delays: Vec<Duration>,
}

impl PacedStream {
    /// Reads it to its end. A chunk that is missing, twice or out of order is a failure.
    pub async fn hear(self, window: Window) -> Result<Heard, Failure> {
        sleep_until(self.begin.into()).await;
        let mut events = self.open().await?;
        let (mut chunks, mut heard) = (Chunks::default(), Heard::default());
        let mut before: Option<Instant> = None;
        while let Some(event) = events.next().await? {
            let (now, wall) = (Instant::now(), SystemTime::now());
            let counts = now >= window.from && now < window.until;
            let taken = chunks.take_each(&event.data, |text| {
                if counts {
                    heard.delays.push(age(text, wall));
                    heard.gaps.extend(before.map(|before| now - before));
                }
                before = Some(now);
            });
            taken.map_err(Failure)?;
        }
        if chunks.are_all(self.chunks) {
            Ok(heard)
        } else {
            Err(Failure(format!("the stream ended too early: {chunks:?} of {}", self.chunks)))
        }
    }

    async fn open(&self) -> Result<Events, Failure> {
        let every = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX);
        let paced = json!({"count": self.chunks, "size": CHUNK, "everyMs": every, "stamped": true});
        let message = json!({
            "messageId": message_id(next_number()),
            "role": "ROLE_USER",
            "parts": [{"text": "stream"}],
            "metadata": {"script": {"chunks": paced}},
        });
        let body = call_body("SendStreamingMessage", &json!({"message": message}));
        Connection::open(&self.base).await?.events("/agents/script", body).await
    }
}

/// How long ago a chunk was emitted, by its second word. The executor's clock is ours.
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
    fn a_chunk_tells_its_age() {
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_005);
        assert_eq!(age("0000001 1700000000000000 0123", now), Duration::from_millis(5));
        assert_eq!(age("0000001 1700000000009000 ", now), Duration::ZERO, "of the future");
    }
}
