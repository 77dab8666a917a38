mod refusals;

use crate::testing::{Node, RunHandle, artifact_entry, working};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
    response::Response,
};
use longhaul_domain::{Part, TaskState, log::StatusChange};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Sends a request given in one line: method, path, then headers.
async fn ask(node: &Node, line: &str, body: impl Into<Body>) -> Response {
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut request = Request::builder().method(method).uri(path);
    for header in words {
        let (name, value) = header.split_once('=').unwrap();
        request = request.header(name, value);
    }
    node.api.router().oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn json_of(response: Response) -> (u16, Value) {
    let (status, _, text) = text(response).await;
    (status.as_u16(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
}

/// Status and body of the response, with values that differ between runs replaced by their names.
async fn answered(node: &Node, line: &str, body: &str) -> (u16, Value) {
    let (status, mut answer) = json_of(ask(node, line, body.to_owned()).await).await;
    name_all(&mut answer);
    (status, answer)
}

fn name_all(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "id" | "taskId" | "contextId" | "timestamp" if value.is_string() => {
                        *value = json!(format!("<{name}>"));
                    }
                    _ => name_all(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(name_all),
        _ => {}
    }
}

const SEND: &str = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]},
    "configuration":{"returnImmediately":true}}"#;
const SEND_0_3: &str = r#"{"message":{"messageId":"m","role":"ROLE_USER","content":[{"text":"hi"}]},
    "configuration":{}}"#;

/// Sends a message and returns the task's id.
async fn sent(node: &Node) -> String {
    let (status, answer) = json_of(ask(node, "POST /message:send", SEND).await).await;
    assert_eq!(status, 200);
    answer["task"]["id"].as_str().unwrap().to_owned()
}

/// Claims and begins the one queued task.
async fn running(node: &Node) -> RunHandle {
    let mut run = node.claim().await;
    run.append(vec![working(), artifact_entry(Part::text("x"))]).await;
    run
}

fn task() -> Value {
    let message = json!({"messageId": "m", "contextId": "<contextId>", "taskId": "<taskId>",
        "role": "ROLE_USER", "parts": [{"text": "hi"}]});
    json!({"id": "<id>", "contextId": "<contextId>",
        "status": {"state": "TASK_STATE_SUBMITTED", "timestamp": "<timestamp>"},
        "history": [message]})
}

fn task_0_3() -> Value {
    let mut task = task();
    let message = task["history"][0].as_object_mut().unwrap();
    let parts = message.remove("parts").unwrap();
    message.insert("content".to_owned(), parts);
    task
}

#[tokio::test]
async fn a_send_answers_with_the_task() {
    let node = Node::start().await;
    for line in ["POST /message:send", "POST /echo/message:send", "POST /agents/echo/message:send"]
    {
        assert_eq!(answered(&node, line, SEND).await, (200, json!({"task": task()})), "{line}");
    }
    let old = answered(&node, "POST /v1/message:send", SEND_0_3).await;
    assert_eq!(old, (200, json!({"task": task_0_3()})));
}

#[tokio::test]
async fn get_returns_the_requested_length_of_history() {
    let node = Node::start().await;
    let id = sent(&node).await;
    assert_eq!(answered(&node, &format!("GET /tasks/{id}"), "").await, (200, task()));
    assert_eq!(answered(&node, &format!("GET /v1/tasks/{id}"), "").await, (200, task_0_3()));
    for name in ["historyLength", "history_length"] {
        let (status, got) = answered(&node, &format!("GET /tasks/{id}?{name}=0"), "").await;
        assert_eq!((status, &got["history"]), (200, &Value::Null));
    }
    // In 0.3, 0 means all.
    let line = format!("GET /v1/tasks/{id}?historyLength=0");
    assert_eq!(answered(&node, &line, "").await, (200, task_0_3()));
}

#[tokio::test]
async fn tasks_are_listed_by_query_parameters() {
    let node = Node::start().await;
    let id = sent(&node).await;
    let page =
        |tasks: Value| json!({"tasks": tasks, "nextPageToken": "", "pageSize": 5, "totalSize": 1});
    let (status, listed) =
        answered(&node, "GET /tasks?pageSize=5&historyLength=1&status=1", "").await;
    assert_eq!((status, listed), (200, page(json!([task()]))));
    let (_, got) = json_of(ask(&node, &format!("GET /tasks/{id}"), "").await).await;
    let (context, at) =
        (got["contextId"].as_str().unwrap(), got["status"]["timestamp"].as_str().unwrap());
    for (filter, found) in [
        (format!("contextId={context}"), 1),
        (format!("context_id={context}&status=TASK_STATE_SUBMITTED"), 1),
        ("contextId=other".to_owned(), 0),
        ("status=TASK_STATE_WORKING".to_owned(), 0),
        (format!("statusTimestampAfter={at}"), 1),
        ("statusTimestampAfter=2100-01-01T00:00:00+01:00".to_owned(), 0),
        ("includeArtifacts=true&pageToken=&status=".to_owned(), 1),
    ] {
        for root in ["/tasks", "/v1/tasks"] {
            let (status, listed) = answered(&node, &format!("GET {root}?{filter}"), "").await;
            assert_eq!((status, &listed["totalSize"]), (200, &json!(found)), "{root} {filter}");
        }
    }
    let wrong = "GET /tasks?pageSize=many&includeArtifacts=2&status=x&statusTimestampAfter=now";
    let (status, refused) = answered(&node, wrong, "").await;
    let violations = refused["error"]["details"][1]["fieldViolations"].as_array().unwrap();
    let fields: Vec<&Value> = violations.iter().map(|violation| &violation["field"]).collect();
    assert_eq!(status, 400);
    assert_eq!(fields, ["status", "pageSize", "statusTimestampAfter", "includeArtifacts"]);
}

#[tokio::test]
async fn a_task_is_canceled_with_and_without_a_body() {
    for line in ["POST /tasks/ID:cancel", "POST /v1/tasks/ID:cancel content-type=application/json"]
    {
        for body in ["", "{}", r#"{"id":"another","metadata":{}}"#] {
            let node = Node::start().await;
            let line = line.replace("ID", &sent(&node).await);
            let (status, canceled) = answered(&node, &line, body).await;
            let state =
                canceled["status"]["state"].as_str().unwrap_or_else(|| panic!("{canceled}"));
            let old = line.contains("/v1/");
            let wanted = if old { "TASK_STATE_CANCELLED" } else { "TASK_STATE_CANCELED" };
            assert_eq!((status, state), (200, wanted), "{line} {body}");
            let (status, refused) = answered(&node, &line, body).await;
            let reason = &refused["error"]["details"][0]["reason"];
            assert_eq!((status, reason), (400, &json!("TASK_NOT_CANCELABLE")));
        }
    }
}

/// Ids and data of a stream's events.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |event: &str| {
        let (id, data) = event.strip_prefix("id: ")?.split_once("\ndata: ")?;
        Some((id.to_owned(), serde_json::from_str(data).unwrap()))
    };
    text.split_terminator("\n\n")
        .map(|text| event(text).unwrap_or_else(|| panic!("{text}")))
        .collect()
}

#[tokio::test]
async fn a_stream_holds_events_without_an_envelope() {
    for (line, body) in [
        ("POST /message:stream", SEND),
        ("POST /v1/message:stream", SEND_0_3),
        ("POST /echo/message:stream accept=text/event-stream", SEND),
    ] {
        let node = Node::start().await;
        let response = ask(&node, line, body).await;
        let mut run = running(&node).await;
        run.end(StatusChange::to(TaskState::Completed)).await;
        let (status, headers, text) = text(response).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (StatusCode::OK, &"text/event-stream".parse().unwrap())
        );
        let seen: Vec<String> = events(&text)
            .iter()
            .map(|(_, event)| event.as_object().unwrap().keys().next().unwrap().clone())
            .collect();
        assert_eq!(seen, ["task", "statusUpdate", "artifactUpdate", "statusUpdate"], "{line}");
    }
}

#[tokio::test]
async fn a_subscription_resumes_after_its_cursor() {
    for line in
        ["GET /tasks/ID:subscribe", "POST /tasks/ID:subscribe", "POST /v1/tasks/ID:subscribe"]
    {
        let node = Node::start().await;
        let line = line.replace("ID", &sent(&node).await);
        let first = ask(&node, &line, "").await;
        let mut run = running(&node).await;
        run.end(StatusChange::to(TaskState::Completed)).await;
        let all = events(&text(first).await.2);
        assert_eq!(all.len(), 4, "{all:?}");
        let again = ask(&node, &format!("{line} last-event-id={}", all[1].0), "").await;
        assert_eq!(events(&text(again).await.2), all[2..], "{line}");
        let (status, refused) = answered(&node, &format!("{line} last-event-id=x"), "").await;
        let field = &refused["error"]["details"][1]["fieldViolations"][0]["field"];
        assert_eq!((status, field), (400, &json!("Last-Event-ID")));
    }
}

#[tokio::test]
async fn a_head_has_the_headers_of_a_get() {
    let node = Node::start().await;
    let id = sent(&node).await;
    for path in [format!("/tasks/{id}"), "/tasks".to_owned(), "/tasks/nope".to_owned()] {
        let (status, headers, body) = text(ask(&node, &format!("GET {path}"), "").await).await;
        let (head, head_headers, nothing) =
            text(ask(&node, &format!("HEAD {path}"), "").await).await;
        assert_eq!((head, nothing.as_str()), (status, ""));
        assert_eq!(head_headers["content-length"], body.len().to_string());
        assert_eq!(head_headers["content-type"], headers["content-type"]);
    }
}

#[tokio::test]
async fn the_version_is_stated_or_follows_from_the_path() {
    let node = Node::start().await;
    let id = sent(&node).await;
    for (line, parts) in [
        ("GET /tasks/ID", "parts"),
        ("GET /tasks/ID a2a-version=1.0", "parts"),
        ("GET /tasks/ID a2a-version=0.3", "content"),
        ("GET /tasks/ID?A2A-Version=0.3", "content"),
        ("GET /v1/tasks/ID a2a-version=0.3.0", "content"),
        ("GET /v1/tasks/ID a2a-version=1.0", "parts"),
    ] {
        let (status, got) = answered(&node, &line.replace("ID", &id), "").await;
        let message = got["history"][0].as_object().unwrap();
        assert_eq!((status, message.contains_key(parts)), (200, true), "{line} {got}");
    }
    for version in ["9.9", "0.1", "one"] {
        let line = format!("GET /tasks/{id} a2a-version={version}");
        let (status, refused) = answered(&node, &line, "").await;
        let reason = &refused["error"]["details"][0]["reason"];
        assert_eq!((status, reason), (400, &json!("VERSION_NOT_SUPPORTED")));
    }
}

#[tokio::test]
async fn active_extensions_are_named_in_the_response() {
    let node = Node::start().await;
    let ours = "urn:longhaul:a2a:durability:v1";
    for name in ["a2a-extensions", "x-a2a-extensions"] {
        let line = format!("POST /message:send {name}={ours}");
        assert_eq!(ask(&node, &line, SEND).await.headers()[name], ours);
    }
}

#[tokio::test]
async fn files_of_0_3_have_the_clients_encoding() {
    const TWICE: &str = "user-agent=python-httpx/0.28.1";
    let (once, twice) = ("AP8=", "QVA4PQ==");
    let shown = |file: &Value| file["fileWithBytes"].as_str().unwrap_or_default().to_owned();
    for (agent, sent) in [("", once), (TWICE, twice)] {
        let node = Node::start().await;
        let file = format!(r#"{{"file":{{"fileWithBytes":"{sent}","mimeType":"image/png"}}}}"#);
        let body = SEND_0_3.replace(r#"{"text":"hi"}"#, &file);
        let line = format!("POST /v1/message:send {agent}");
        let (status, answer) = json_of(ask(&node, &line, body).await).await;
        assert_eq!(status, 200, "{answer}");
        let task = answer["task"]["id"].as_str().unwrap();
        for (agent, expected) in [("", once), (TWICE, twice)] {
            let line = format!("GET /v1/tasks/{task} {agent}");
            let (_, got) = json_of(ask(&node, &line, "").await).await;
            assert_eq!(shown(&got["history"][0]["content"][0]["file"]), expected, "{line}");
        }
        let (_, got) = json_of(ask(&node, &format!("GET /tasks/{task} {TWICE}"), "").await).await;
        assert_eq!(got["history"][0]["parts"][0]["raw"], once, "1.0 knows one way");

        let subscribe = format!("GET /v1/tasks/{task}:subscribe last-event-id=0");
        let plain = ask(&node, &subscribe, "").await;
        let other = ask(&node, &format!("{subscribe} {TWICE}"), "").await;
        let mut run = node.claim().await;
        run.append(vec![working(), artifact_entry(Part::raw(vec![0, 255], "image/png"))]).await;
        run.end(StatusChange::to(TaskState::Completed)).await;
        for (stream, expected) in [(plain, once), (other, twice)] {
            let events = events(&text(stream).await.2);
            let update = events.iter().find(|(_, event)| event["artifactUpdate"].is_object());
            let part = &update.unwrap().1["artifactUpdate"]["artifact"]["parts"][0];
            assert_eq!(shown(&part["file"]), expected);
        }
    }
}
