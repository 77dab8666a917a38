//! Requests that operator commands send.

use super::*;
use crate::{
    args::{DeadFilterArgs, DeploymentArgs, ListDeadArgs, RedriveDeadArgs},
    exit::Completion,
};
use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode, Uri},
};
use longhaul_runtime::spawn;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// Status and body of an answer.
type ScriptedAnswer = (u16, Value);

/// Method, path with its query, and body of a request.
type RecordedRequest = (String, String, Option<Value>);

/// A server that answers one request after the other from a script, and records the requests.
#[derive(Clone, Default)]
struct ScriptedServer {
    answers: Arc<Mutex<VecDeque<ScriptedAnswer>>>,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl ScriptedServer {
    async fn start(answers: impl IntoIterator<Item = ScriptedAnswer>) -> (Self, DeploymentArgs) {
        let server = Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(answer).with_state(server.clone());
        spawn("scripted server", async move { axum::serve(listener, routes).await.unwrap() });
        (server, DeploymentArgs { url, ..DeploymentArgs::default() })
    }

    fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(
    State(server): State<ScriptedServer>,
    method: Method,
    uri: Uri,
    body: String,
) -> (StatusCode, Json<Value>) {
    let request = (method.to_string(), uri.to_string(), serde_json::from_str(&body).ok());
    server.requests.lock().unwrap().push(request);
    let (status, body) = server.answers.lock().unwrap().pop_front().unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn letter(task: &str) -> Value {
    json!({"taskId": task, "owner": "acme", "agent": "echo", "contextId": "c1", "at": "2026-01-02T03:04:05.678Z",
        "because": "fatal", "cause": "no", "attempts": 1})
}

#[tokio::test]
async fn a_list_reads_pages_until_the_limit() {
    let page = |tasks: &[&str], next: Option<&str>| {
        let dead: Vec<Value> = tasks.iter().map(|task| letter(task)).collect();
        (200, json!({"dead": dead, "next": next}))
    };
    let (server, deployment) =
        ScriptedServer::start([page(&["t1", "t2"], Some("c/1")), page(&["t3"], Some("c/2"))]).await;
    let filter = DeadFilterArgs { cause: Some("a&b".to_owned()), ..DeadFilterArgs::default() };
    let args = ListDeadArgs { filter, limit: 3, deployment, ..ListDeadArgs::default() };
    assert_eq!(dead(DeadCommand::List(args)).await, Ok(Completion::Ok));
    let paths: Vec<String> = server.requests().into_iter().map(|(_, path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "/operator/v1/dead?cause=a%26b&limit=3",
            "/operator/v1/dead?cause=a%26b&limit=1&after=c%2F1",
        ]
    );
}

#[tokio::test]
async fn redriving_all_leaves_out_tasks_that_fail_meanwhile() {
    let (server, deployment) = ScriptedServer::start([
        (200, json!({"dead": [letter("t1")], "next": null})),
        (200, json!({"redriven": [{"from": "t1", "to": "n1"}], "more": true})),
        (200, json!({"redriven": [{"from": "t2", "to": "n2"}], "more": false})),
    ])
    .await;
    let filter = DeadFilterArgs { agent: Some("echo".to_owned()), ..DeadFilterArgs::default() };
    let args =
        RedriveDeadArgs { all: true, yes: true, filter, deployment, ..RedriveDeadArgs::default() };
    assert_eq!(dead(DeadCommand::Redrive(args)).await, Ok(Completion::Ok));
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (method, path, body) in &requests[1..] {
        assert_eq!((method.as_str(), path.as_str()), ("POST", "/operator/v1/dead/redrive"));
        let expected =
            json!({"agent": "echo", "before": "2026-01-02T03:04:05.679000Z", "limit": 100});
        assert_eq!(body.as_ref(), Some(&expected));
    }
}

#[tokio::test]
async fn tasks_are_redriven_by_id_and_one_that_is_not_dead_is_reported() {
    let (server, deployment) = ScriptedServer::start([
        (404, json!({"error": {"code": "not-found", "message": "it is not dead"}})),
        (200, json!({"taskId": "n2", "already": false})),
    ])
    .await;
    let tasks = vec!["t1".to_owned(), "t2".to_owned()];
    let args = RedriveDeadArgs { tasks, deployment, ..RedriveDeadArgs::default() };
    let failure = dead(DeadCommand::Redrive(args)).await.unwrap_err();
    assert!(failure.to_string().starts_with("1 of 2"), "{failure}");
    let paths: Vec<String> = server.requests().into_iter().map(|(_, path, _)| path).collect();
    assert_eq!(paths, ["/operator/v1/dead/local/t1/redrive", "/operator/v1/dead/local/t2/redrive"]);
}

#[tokio::test]
async fn filters_without_all_are_refused_before_any_request() {
    let (server, deployment) = ScriptedServer::start([]).await;
    let filter = DeadFilterArgs { agent: Some("echo".to_owned()), ..DeadFilterArgs::default() };
    let args = RedriveDeadArgs {
        tasks: vec!["t1".to_owned()],
        filter,
        deployment,
        ..RedriveDeadArgs::default()
    };
    assert_eq!(dead(DeadCommand::Redrive(args)).await.unwrap_err().code(), 2);
    assert!(server.requests().is_empty());
}
