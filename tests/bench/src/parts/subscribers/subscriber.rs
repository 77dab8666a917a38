//! One subscriber.

use crate::http::SseEvents;
use crate::http::{HttpConnection, RequestError, SseEvent, call_body};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// A subscriber that has received the task's snapshot.
pub struct TaskSubscriber {
    task: usize,
    events: SseEvents,
}

/// Result of a subscriber.
#[derive(Debug)]
pub struct SubscriberResult {
    /// Index of the task.
    pub task: usize,
    /// Latency of each progress event.
    pub events: Vec<Duration>,
}

#[derive(Deserialize)]
struct ProgressFrame<'a> {
    #[serde(borrow)]
    result: ProgressEvent<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressEvent<'a> {
    #[serde(borrow)]
    status_update: Option<ProgressUpdate<'a>>,
}

#[derive(Deserialize)]
struct ProgressUpdate<'a> {
    #[serde(borrow)]
    status: ProgressStatus<'a>,
    metadata: Option<ProgressMetadata>,
}

#[derive(Deserialize)]
struct ProgressStatus<'a> {
    state: &'a str,
    timestamp: &'a str,
}

#[derive(Deserialize)]
struct ProgressMetadata {
    step: u32,
}

impl TaskSubscriber {
    /// Subscribes, and takes the first event, which is the task's snapshot.
    pub async fn open(base: &str, task: usize, id: &str) -> Result<Self, RequestError> {
        let connection = HttpConnection::open(base).await?;
        let body = call_body("SubscribeToTask", &json!({"id": id}));
        let mut events = connection.events("/agents/script", body).await?;
        let first = events.next().await?.map(|event| event.data).unwrap_or_default();
        let text = String::from_utf8_lossy(&first);
        if text.contains(id) && text.contains("TASK_STATE_INPUT_REQUIRED") {
            Ok(Self { task, events })
        } else {
            Err(RequestError(format!("the stream begins with {text:?}")))
        }
    }

    /// Reads to the end of the stream. Panics unless every event arrives once and in order.
    pub async fn read(mut self, expected: u32) -> SubscriberResult {
        let mut events = Vec::with_capacity(expected as usize);
        let (mut cursor, mut ended) = (0, false);
        while let Some(event) = self.events.next().await.expect("the stream goes on to its end") {
            let now = SystemTime::now();
            let id: u64 = ascii(&event.id).parse().expect("an event has a number");
            assert!(id > cursor, "event {id} came after {cursor}");
            cursor = id;
            let update = update(&event);
            if let Some(progress) = &update.metadata {
                events.push(since(update.status.timestamp, now));
                assert_eq!(progress.step as usize, events.len(), "progress came out of order");
            }
            ended = update.status.state == "TASK_STATE_COMPLETED";
        }
        assert!(ended, "the stream ended before its task");
        assert_eq!(events.len(), expected as usize, "events were lost");
        SubscriberResult { task: self.task, events }
    }
}

fn update(event: &SseEvent) -> ProgressUpdate<'_> {
    let frame: ProgressFrame<'_> = serde_json::from_slice(&event.data)
        .unwrap_or_else(|error| panic!("no status ({error}): {}", ascii(&event.data)));
    frame.result.status_update.unwrap_or_else(|| panic!("no status: {}", ascii(&event.data)))
}

fn ascii(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The age of a timestamp. The database rounds to milliseconds, and shares our clock.
fn since(timestamp: &str, now: SystemTime) -> Duration {
    let made: DateTime<Utc> = timestamp.parse().expect("a status has a time");
    now.duration_since(made.into()).unwrap_or_default()
}
