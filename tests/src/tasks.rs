//! Requests of tests to an agent, and waiting for the task's state.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Client;
use crate::sse::EventStream;
use crate::{eventually, unique};

/// Longest wait for a task on a loaded machine.
pub const TASK_TIMEOUT: Duration = Duration::from_secs(60);

/// Parameters of a send: a new message with this text.
pub fn message(text: &str) -> Value {
    message_of(json!([{"text": text}]))
}

/// Parameters of a send: a new message with these parts.
#[expect(clippy::needless_pass_by_value, reason = "tests pass json!(…) as it is written")]
pub fn message_of(parts: Value) -> Value {
    json!({"message": {"messageId": unique::name("m"), "role": "ROLE_USER", "parts": parts}})
}

/// Parameters of a send: a follow-up message to a task.
pub fn reply_to(task: &str, text: &str) -> Value {
    with(message(text), "/message/taskId", json!(task))
}

/// The same parameters, with `returnImmediately`.
pub fn return_immediately(params: Value) -> Value {
    with(params, "/configuration/returnImmediately", json!(true))
}

/// The same JSON with one member set; the path is a JSON pointer of names.
pub fn with(mut json: Value, pointer: &str, value: Value) -> Value {
    let place =
        pointer.trim_start_matches('/').split('/').fold(&mut json, |place, name| &mut place[name]);
    *place = value;
    json
}

/// Parameters of a send: a new message with this text and these options of the durability
/// extension.
#[expect(clippy::needless_pass_by_value, reason = "tests pass json!(…) as it is written")]
pub fn durable(text: &str, options: Value) -> Value {
    let metadata = json!({"urn:longhaul:a2a:durability:v1": options});
    with(message(text), "/message/metadata", metadata)
}

/// The time this long from now, in the protocol's format.
pub fn timestamp_in(time: Duration) -> String {
    let at = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now() + time);
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Sends a text and returns the task of the response, which is sent when the task ends or asks.
pub async fn send(client: &Client, text: &str) -> Value {
    task_of(client.call("SendMessage", message(text)).await)
}

/// Sends a text and returns the task as soon as it is accepted.
pub async fn start(client: &Client, text: &str) -> Value {
    task_of(client.call("SendMessage", return_immediately(message(text))).await)
}

/// Sends a text and returns the task once an executor works on it; later messages are follow-ups.
pub async fn start_working(client: &Client, text: &str) -> Value {
    let task = start(client, text).await;
    wait_for_state(client, &id(&task), "WORKING").await
}

/// Sends a text and streams the task's events.
pub async fn stream(client: &Client, text: &str) -> EventStream {
    client.stream("SendStreamingMessage", message(text)).await
}

/// The task in a send's result.
pub fn task_of(mut answer: Value) -> Value {
    assert!(answer["task"].is_object(), "no task but {answer}");
    answer["task"].take()
}

/// The id of a task.
pub fn id(task: &Value) -> String {
    task["id"].as_str().unwrap_or_else(|| panic!("no id in {task}")).to_owned()
}

/// The state of a task, without its prefix: `COMPLETED`.
pub fn state(task: &Value) -> &str {
    let state = task["status"]["state"].as_str().unwrap_or_else(|| panic!("no state in {task}"));
    state.strip_prefix("TASK_STATE_").unwrap_or(state)
}

/// Reads a task.
pub async fn get(client: &Client, id: &str) -> Value {
    client.call("GetTask", json!({"id": id})).await
}

/// Waits until a task is in this state, and returns the task.
pub async fn wait_for_state(client: &Client, id: &str, wanted: &str) -> Value {
    eventually(TASK_TIMEOUT, &format!("task {id} is {wanted}"), async || {
        let task = get(client, id).await;
        if state(&task) == wanted { Ok(task) } else { Err(task) }
    })
    .await
}

/// Waits until a task's first artifact has at least this many parts, and returns the task.
pub async fn wait_for_parts(client: &Client, id: &str, parts: usize) -> Value {
    eventually(TASK_TIMEOUT, &format!("task {id} has {parts} parts"), async || {
        let task = get(client, id).await;
        let there = task["artifacts"][0]["parts"].as_array().map_or(0, Vec::len);
        if there >= parts { Ok(task) } else { Err(task) }
    })
    .await
}

/// The texts of all parts of all artifacts.
pub fn artifact_texts(task: &Value) -> Vec<String> {
    let artifacts = task["artifacts"].as_array().cloned().unwrap_or_default();
    artifacts.iter().flat_map(|artifact| texts(&artifact["parts"])).collect()
}

/// The texts of parts.
pub fn texts(parts: &Value) -> Vec<String> {
    let parts = parts.as_array().cloned().unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
}

/// The paths that a JSON-RPC error reports as invalid parameters.
pub fn violations(data: &Value) -> Vec<String> {
    let details = data.as_array().cloned().unwrap_or_default();
    let of_requests = details.iter().filter(|detail| {
        detail["@type"].as_str().is_some_and(|name| name.ends_with("google.rpc.BadRequest"))
    });
    of_requests
        .flat_map(|detail| detail["fieldViolations"].as_array().cloned().unwrap_or_default())
        .filter_map(|violation| violation["field"].as_str().map(str::to_owned))
        .collect()
}

/// Folds the events of a stream, beginning with the snapshot, into the resulting task.
pub fn fold(events: &[Value]) -> Value {
    let (first, rest) = events.split_first().expect("a stream has a first event");
    let mut task = first["task"].clone();
    assert!(task.is_object(), "a stream begins with a snapshot, not with {first}");
    for event in rest {
        if event["statusUpdate"].is_object() {
            let new = event["statusUpdate"]["status"].clone();
            let old = std::mem::replace(&mut task["status"], new);
            if !old["message"].is_null() {
                push(&mut task["history"], old["message"].clone());
            }
        } else if event["artifactUpdate"].is_object() {
            fold_artifact(&mut task, &event["artifactUpdate"]);
        } else {
            panic!("an event that changes no task: {event}");
        }
    }
    task
}

fn fold_artifact(task: &mut Value, update: &Value) {
    let chunk = update["artifact"].clone();
    let known = task["artifacts"].as_array_mut().and_then(|artifacts| {
        artifacts.iter_mut().find(|artifact| artifact["artifactId"] == chunk["artifactId"])
    });
    match known {
        Some(artifact) if update["append"] == true => {
            for part in chunk["parts"].as_array().cloned().unwrap_or_default() {
                push(&mut artifact["parts"], part);
            }
        }
        Some(artifact) => *artifact = chunk,
        None => push(&mut task["artifacts"], chunk),
    }
}

fn push(list: &mut Value, item: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().expect("it is a list").push(item);
}
