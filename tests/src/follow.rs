//! Following a task over everything that happens to streams and nodes.

use std::time::Instant;

use serde_json::{Value, json};

use crate::eventually::pause;
use crate::http::Client;
use crate::sse::EventStream;
use crate::talk::LIMIT;

/// Follows a task that has not ended to its end, and gives every event once: the snapshot first, the final status last.
///
/// A stream that ends or breaks is taken up at the next of these nodes with the cursor of the last event.
pub async fn follow(nodes: Vec<Client>, task: String) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    for turn in 0.. {
        let mut stream = open(&nodes, turn, cursor.as_deref(), &task).await;
        while let Some((id, event)) = stream.next_result(LIMIT).await {
            cursor = id.or(cursor);
            let is_last = is_final(&event);
            events.push(event);
            if is_last {
                return events;
            }
        }
    }
    events
}

/// Opens a stream at one of the nodes, beginning with the one whose turn it is.
async fn open(nodes: &[Client], turn: usize, cursor: Option<&str>, task: &str) -> EventStream {
    let begun = Instant::now();
    let mut last = String::new();
    for node in nodes.iter().cycle().skip(turn % nodes.len()) {
        assert!(begun.elapsed() < LIMIT, "no node takes the stream of {task} up: {last}");
        let node = match cursor {
            Some(cursor) => node.clone().header("last-event-id", cursor),
            None => node.clone(),
        };
        match node.stream_or_reason("SubscribeToTask", json!({"id": task})).await {
            Ok(stream) => return stream,
            Err(reason) => last = reason,
        }
        pause().await;
    }
    panic!("there is no node")
}

fn is_final(event: &Value) -> bool {
    let state = event.pointer("/statusUpdate/status/state").and_then(Value::as_str);
    let name = state.unwrap_or_default().trim_start_matches("TASK_STATE_");
    ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].contains(&name)
}
