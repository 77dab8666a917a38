use super::{
    pieces::Envelope,
    sse::{self, Neglect},
};
use crate::{
    service::EventStream,
    testing::{LIMIT, Node, caller, made, send, sending, working},
};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use futures::StreamExt;
use longhaul_domain::{AgentLimits, Part, Seq};
use longhaul_wire::{Dialect, SendOutcome, SubscribeRequest, TaskRef, jsonrpc::Id};
use std::time::Duration;
use tokio::time::timeout;
use tower::ServiceExt;

#[tokio::test]
async fn every_response_names_its_request() {
    let node = Node::start().await;
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/.well-known/agent-card.json"),
        ("GET", "/agents/nobody/.well-known/agent-card.json"),
        ("POST", "/"),
        ("GET", "/nowhere"),
        ("PUT", "/a2a"),
    ] {
        let request = || Request::builder().method(method).uri(path);
        let own = request().header("x-request-id", "mine").body(Body::empty()).unwrap();
        let response = node.api.router().oneshot(own).await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "mine", "{method} {path}");
        let response = node.api.router().oneshot(request().body(Body::empty()).unwrap());
        assert_eq!(response.await.unwrap().headers()["x-request-id"].len(), 36, "{method} {path}");
    }
}

/// A stream that has more to show than anybody reads here.
async fn long_stream(node: &Node) -> EventStream {
    let service = node.service();
    let sent = service.send(&caller(), send("m")).await.unwrap().answer;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    run.append((0..50).map(|_| made(Part::text("x"))).collect()).await;
    let request = SubscribeRequest { tenant: None, id: TaskRef::Known(task.key.task) };
    service.subscribe(&caller(), request, Some(Seq(0))).await.unwrap()
}

fn envelope() -> Envelope {
    Envelope::new(Dialect::V1_0, &Id::number(1), None)
}

/// Waits until nobody awaits a task any more.
async fn left(node: &Node) {
    let left = async {
        while node.service().hub.awaited() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, left).await.expect("the subscription is given up");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_given_up() {
    let node = Node::start().await;
    let stream = long_stream(&node).await;
    tokio::time::pause();
    let keep_alive = Duration::from_secs(15);
    let unread = sse::response(stream, keep_alive, envelope(), Neglect::EndsStream);
    tokio::time::advance(Duration::from_secs(1)).await;
    let left = async {
        while node.service().hub.awaited() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(600), left).await.expect("the subscription is given up");
    let mut body = unread.into_body().into_data_stream();
    assert!(body.next().await.is_some(), "what was made is still there");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_nothing_behind() {
    for neglect in [Neglect::EndsStream, Neglect::EndsConnection] {
        let node = Node::start().await;
        let stream = long_stream(&node).await;
        drop(sse::response(stream, Duration::from_secs(15), envelope(), neglect));
        left(&node).await;
    }
}

async fn call(node: &Node, headers: &[(&str, &str)], call: &str) -> axum::response::Response {
    let mut request = Request::builder().method("POST").uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(call.to_owned())).unwrap();
    node.api.router().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn extensions_that_are_in_effect_are_named_in_the_answer() {
    let node = Node::with_limits(AgentLimits::default()).await;
    let ours = "urn:longhaul:a2a:durability:v1";
    let asked = format!("urn:other:v1, {ours}");
    for name in ["a2a-extensions", "x-a2a-extensions"] {
        let answer = call(&node, &[(name, &asked)], &sending("SendMessage", "m")).await;
        assert_eq!(answer.headers()[name], ours);
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(body.contains(&format!("\"{ours}\":{{\"attempt\"")), "{body}");
    }
    let other = [("a2a-extensions", "urn:other:v1")];
    let answer = call(&node, &other, &sending("SendMessage", "m")).await;
    assert!(!answer.headers().contains_key("a2a-extensions"));
}

#[tokio::test]
async fn a_full_queue_answers_429_and_says_when_to_come_back() {
    let limits = AgentLimits { queued: Some(1), ..AgentLimits::default() };
    let node = Node::with_limits(limits).await;
    let answer = call(&node, &[], &sending("SendMessage", "a")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for method in ["SendMessage", "SendStreamingMessage"] {
        let answer = call(&node, &[], &sending(method, "b")).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.headers().contains_key("retry-after"));
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(body.contains("-32052") && body.contains("The queue of agent echo"), "{body}");
    }
}
