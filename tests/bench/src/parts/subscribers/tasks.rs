//! The tasks that are subscribed to: parked until everybody is there, then reporting progress.

use super::unique;
use crate::{http::Connection, stack::Stack};
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/agents/script";

/// How tasks report.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often.
    pub events: u32,
    /// What lies between.
    pub delay: Duration,
}

/// Parks so many tasks; gives their ids.
pub async fn park(stack: &Stack, tasks: usize) -> Vec<String> {
    let mut connection = Connection::open(stack.base()).await.expect("the node answers");
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

/// Lets all of them go on, one shortly after the other.
pub async fn go_on(stack: &Stack, ids: &[String], pace: Pace) {
    let mut connection = Connection::open(stack.base()).await.expect("the node answers");
    let plan = json!({"progress": pace.events, "progressDelayMs": pace.delay.as_millis()});
    for id in ids {
        let mut params = message("go", Some(id), &plan);
        params["configuration"] = json!({"returnImmediately": true});
        let answer = connection.call(PATH, "SendMessage", &params).await.expect("the node answers");
        assert!(answer.json().pointer("/result/task/id").is_some(), "{}", answer.text());
    }
}

fn message(words: &str, task: Option<&String>, plan: &Value) -> Value {
    let mut message = json!({
        "messageId": unique::id(words),
        "role": "ROLE_USER",
        "parts": [{"text": "go"}],
        "metadata": {"script": plan},
    });
    if let Some(task) = task {
        message["taskId"] = json!(task);
    }
    json!({"message": message})
}
