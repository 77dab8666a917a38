//! Following a task's events across broken streams and killed nodes.

use std::time::Instant;

use serde_json::{Value, json};

use crate::eventually::pause;
use crate::http::Client;
use crate::sse::EventStream;
use crate::tasks::TASK_TIMEOUT;

/// Follows an unfinished task to its end and returns every event once: first the snapshot, last the
/// final status.
///
/// A stream that ends or breaks is resumed on the next node, with the cursor of the last event.
pub async fn follow(nodes: Vec<Client>, task: String) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    for turn in 0.. {
        let mut stream = open(&nodes, turn, cursor.as_deref(), &task).await;
        while let Some((id, event)) = stream.next_result(TASK_TIMEOUT).await {
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

/// Opens a stream on the first node that accepts it, starting with node number `turn`.
async fn open(nodes: &[Client], turn: usize, cursor: Option<&str>, task: &str) -> EventStream {
    let begun = Instant::now();
    let mut last = String::new();
    for node in nodes.iter().cycle().skip(turn % nodes.len()) {
        assert!(begun.elapsed() < TASK_TIMEOUT, "no node takes the stream of {task} up: {last}");
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
