//! One subscriber.

use crate::http::Events;
use crate::http::{Connection, Event, Failure, call_body};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// A subscriber that has received the task as it is.
pub struct Follower {
    task: usize,
    events: Events,
}

/// What a subscriber received.
#[derive(Debug)]
pub struct Received {
    /// Of which task.
    pub task: usize,
    /// For each progress, how long it took.
    pub events: Vec<Duration>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    result: Outcome<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    #[serde(borrow)]
    status_update: Option<Update<'a>>,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    status: Status<'a>,
    metadata: Option<Progress>,
}

#[derive(Deserialize)]
struct Status<'a> {
    state: &'a str,
    timestamp: &'a str,
}

#[derive(Deserialize)]
struct Progress {
    step: u32,
}

impl Follower {
    /// Subscribes and takes the first event, which is the task.
    pub async fn open(base: &str, task: usize, id: &str) -> Result<Self, Failure> {
        let connection = Connection::open(base).await?;
        let body = call_body("SubscribeToTask", &json!({"id": id}));
        let mut events = connection.events("/agents/script", body).await?;
        let first = events.next().await?.map(|event| event.data).unwrap_or_default();
        let text = String::from_utf8_lossy(&first);
        if text.contains(id) && text.contains("TASK_STATE_INPUT_REQUIRED") {
            Ok(Self { task, events })
        } else {
            Err(Failure(format!("the stream begins with {text:?}")))
        }
    }

    /// Reads to the end of the stream; panics unless every event comes, once and in order.
    pub async fn read(mut self, expected: u32) -> Received {
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
        Received { task: self.task, events }
    }
}

fn update(event: &Event) -> Update<'_> {
    let frame: Frame<'_> = serde_json::from_slice(&event.data)
        .unwrap_or_else(|error| panic!("no status ({error}): {}", ascii(&event.data)));
    frame.result.status_update.unwrap_or_else(|| panic!("no status: {}", ascii(&event.data)))
}

fn ascii(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How long ago that was. The database tells milliseconds and its clock is ours.
fn since(timestamp: &str, now: SystemTime) -> Duration {
    let made: DateTime<Utc> = timestamp.parse().expect("a status has a time");
    now.duration_since(made.into()).unwrap_or_default()
}
