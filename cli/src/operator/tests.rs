//! What operators' commands ask of a server.

use super::*;
use crate::{
    args::{DeadFilter, Deployment, ListDead, RedriveDead},
    exit::Done,
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

type Answer = (u16, Value);

/// What was asked: the method, the path with its query, and the body.
type Asked = (String, String, Option<Value>);

/// A server that answers one request after the other as it is told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, Deployment) {
        let fake = Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(answer).with_state(fake.clone());
        spawn("fake", async move { axum::serve(listener, routes).await.unwrap() });
        (fake, Deployment { url, ..Deployment::default() })
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    body: String,
) -> (StatusCode, Json<Value>) {
    let asked = (method.to_string(), uri.to_string(), serde_json::from_str(&body).ok());
    fake.asked.lock().unwrap().push(asked);
    let (status, body) = fake.answers.lock().unwrap().pop_front().unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn letter(task: &str) -> Value {
    json!({"taskId": task, "owner": "acme", "agent": "echo", "contextId": "c1", "at": "2026-01-02T03:04:05.678Z",
        "because": "fatal", "cause": "no", "attempts": 1})
}

#[tokio::test]
async fn a_list_goes_on_behind_the_last_page_until_there_are_enough() {
    let page = |tasks: &[&str], next: Option<&str>| {
        let dead: Vec<Value> = tasks.iter().map(|task| letter(task)).collect();
        (200, json!({"dead": dead, "next": next}))
    };
    let (fake, deployment) =
        Fake::start([page(&["t1", "t2"], Some("c/1")), page(&["t3"], Some("c/2"))]).await;
    let filter = DeadFilter { cause: Some("a&b".to_owned()), ..DeadFilter::default() };
    let args = ListDead { filter, limit: 3, deployment, ..ListDead::default() };
    assert_eq!(dead(DeadCommand::List(args)).await, Ok(Done::Ok));
    let paths: Vec<String> = fake.asked().into_iter().map(|(_, path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "/operator/v1/dead?cause=a%26b&limit=3",
            "/operator/v1/dead?cause=a%26b&limit=1&after=c%2F1",
        ]
    );
}

#[tokio::test]
async fn redriving_all_leaves_alone_what_fails_again_meanwhile() {
    let (fake, deployment) = Fake::start([
        (200, json!({"dead": [letter("t1")], "next": null})),
        (200, json!({"redriven": [{"from": "t1", "to": "n1"}], "more": true})),
        (200, json!({"redriven": [{"from": "t2", "to": "n2"}], "more": false})),
    ])
    .await;
    let filter = DeadFilter { agent: Some("echo".to_owned()), ..DeadFilter::default() };
    let args = RedriveDead { all: true, yes: true, filter, deployment, ..RedriveDead::default() };
    assert_eq!(dead(DeadCommand::Redrive(args)).await, Ok(Done::Ok));
    let asked = fake.asked();
    assert_eq!(asked.len(), 3);
    for (method, path, body) in &asked[1..] {
        assert_eq!((method.as_str(), path.as_str()), ("POST", "/operator/v1/dead/redrive"));
        let wanted =
            json!({"agent": "echo", "before": "2026-01-02T03:04:05.679000Z", "limit": 100});
        assert_eq!(body.as_ref(), Some(&wanted));
    }
}

#[tokio::test]
async fn tasks_are_redriven_by_name_and_one_that_is_not_dead_is_said() {
    let (fake, deployment) = Fake::start([
        (404, json!({"error": {"code": "not-found", "message": "it is not dead"}})),
        (200, json!({"taskId": "n2", "already": false})),
    ])
    .await;
    let tasks = vec!["t1".to_owned(), "t2".to_owned()];
    let args = RedriveDead { tasks, deployment, ..RedriveDead::default() };
    let failure = dead(DeadCommand::Redrive(args)).await.unwrap_err();
    assert!(failure.to_string().starts_with("1 of 2"), "{failure}");
    let paths: Vec<String> = fake.asked().into_iter().map(|(_, path, _)| path).collect();
    assert_eq!(paths, ["/operator/v1/dead/local/t1/redrive", "/operator/v1/dead/local/t2/redrive"]);
}

#[tokio::test]
async fn filters_without_all_are_refused_before_anything_is_asked() {
    let (fake, deployment) = Fake::start([]).await;
    let filter = DeadFilter { agent: Some("echo".to_owned()), ..DeadFilter::default() };
    let args =
        RedriveDead { tasks: vec!["t1".to_owned()], filter, deployment, ..RedriveDead::default() };
    assert_eq!(dead(DeadCommand::Redrive(args)).await.unwrap_err().code(), 2);
    assert!(fake.asked().is_empty());
}
