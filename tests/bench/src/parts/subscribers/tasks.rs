//! The subscribed tasks: parked until all subscribers are there, then reporting progress.

use crate::{http::HttpConnection, message_ids::unique_id, stack::BenchStack};
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/agents/script";

/// The pace at which tasks report progress.
#[derive(Debug, Clone, Copy)]
pub struct ProgressPace {
    /// Number of events.
    pub events: u32,
    /// Time between two events.
    pub delay: Duration,
}

/// Parks tasks; returns their ids.
pub async fn park(stack: &BenchStack, tasks: usize) -> Vec<String> {
    let mut connection = HttpConnection::open(stack.base()).await.expect("the node answers");
    let mut ids = Vec::with_capacity(tasks);
    for _ in 0..tasks {
        let params = message("park", None, &json!({"end": "input-required"}));
        let answer = connection.call(PATH, "SendMessage", &params).await.expect("the node answers");
        let answer = answer.json();
        let task = &answer["result"]["task"];
        assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "not parked: {answer}");
        ids.push(task["id"].as_str().expect("a task has an id").to_owned());
    }
    ids
}

/// Resumes all tasks, one shortly after the other.
pub async fn resume(stack: &BenchStack, ids: &[String], pace: ProgressPace) {
    let mut connection = HttpConnection::open(stack.base()).await.expect("the node answers");
    let plan = json!({"progress": pace.events, "progressDelayMs": pace.delay.as_millis()});
    for id in ids {
        let mut params = message("go", Some(id), &plan);
        params["configuration"] = json!({"returnImmediately": true});
        let answer = connection.call(PATH, "SendMessage", &params).await.expect("the node answers");
        assert!(answer.json().pointer("/result/task/id").is_some(), "{}", answer.text());
    }
}

fn message(prefix: &str, task: Option<&String>, plan: &Value) -> Value {
    let mut message = json!({
        "messageId": unique_id(prefix),
        "role": "ROLE_USER",
        "parts": [{"text": "go"}],
        "metadata": {"script": plan},
    });
    if let Some(task) = task {
        message["taskId"] = json!(task);
    }
    json!({"message": message})
}
