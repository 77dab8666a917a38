mod addresses;
mod events;
mod pages;

use super::{sse, sse::EventEnvelope};
use crate::{
    service::EventStream,
    testing::{Node, TEST_TIMEOUT, agent, artifact_entry, caller, send, sending, working},
};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use longhaul_domain::{AgentLimits, Part, Seq, extension::Extension};
use longhaul_wire::{Dialect, SendOutcome, SubscribeRequest, TaskRef, jsonrpc::RpcId};
use serde_json::Value;
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

#[tokio::test]
async fn without_streaming_cards_say_so_and_streams_are_refused() {
    let node = Node::with_options(|options| options.streaming = false).await;
    let ask = async |request: Request<Body>| {
        let response = node.api.router().oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let card = Request::get("/agents/echo/.well-known/agent-card.json").body(Body::empty());
    assert_eq!(ask(card.unwrap()).await["capabilities"]["streaming"], false);
    let message = r#"{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}"#;
    for (method, params) in [
        ("SendStreamingMessage", format!(r#"{{"message":{message}}}"#)),
        ("SubscribeToTask", r#"{"id":"00000000-0000-7000-8000-000000000000"}"#.to_owned()),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let request = Request::post("/").header("content-type", "application/json");
        let answer = ask(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer["error"]["code"], -32004, "{method}: {answer}");
    }
}

/// A stream with more events than a test reads.
async fn long_stream(node: &Node) -> EventStream {
    let service = node.service();
    let sent = service.send(&caller(), send("m")).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    run.append((0..50).map(|_| artifact_entry(Part::text("x"))).collect()).await;
    let request = SubscribeRequest { tenant: None, id: TaskRef::Known(task.key.task) };
    service.subscribe(&caller(), request, Some(Seq(0))).await.unwrap()
}

fn envelope() -> EventEnvelope {
    EventEnvelope::new(Dialect::V1_0, &RpcId::number(1), None)
}

/// Waits until no task is awaited.
async fn left(node: &Node) {
    let left = async {
        while node.service().hub.awaited() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TEST_TIMEOUT, left).await.expect("the subscription is dropped");
}

#[tokio::test]
async fn a_disconnected_reader_leaves_no_subscription() {
    let node = Node::start().await;
    let stream = long_stream(&node).await;
    drop(sse::response(stream, Duration::from_secs(15), envelope()));
    left(&node).await;
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
async fn active_extensions_are_named_in_the_response() {
    let node = Node::with_limits(AgentLimits::default()).await;
    let ours = "urn:longhaul:a2a:durability:v1";
    let asked = format!("urn:other:v1, {ours}");
    for name in ["a2a-extensions", "x-a2a-extensions"] {
        let answer = call(&node, &[(name, &asked)], &sending("SendMessage", "m")).await;
        assert_eq!(answer.headers()[name], ours);
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(body.contains(&format!("\"{ours}\":{{\"agent\"")), "{body}");
    }
    let other = [("a2a-extensions", "urn:other:v1")];
    let answer = call(&node, &other, &sending("SendMessage", "m")).await;
    assert!(!answer.headers().contains_key("a2a-extensions"));
}

#[tokio::test]
async fn an_agents_own_extensions_are_echoed_by_every_operation() {
    let node = Node::start().await;
    let mut described = (*node.service().agents.get(&agent()).await.unwrap().unwrap()).clone();
    described.version = "2.0.0".to_owned();
    described.extensions = vec![Extension::new("urn:own:v1")];
    node.store.register_agents(vec![described]).await.unwrap();
    let router = node.another().router();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{}}"#.to_owned();
    for body in [sending("SendMessage", "m"), sending("SendStreamingMessage", "n"), list] {
        let request = Request::post("/").header("a2a-extensions", "urn:other:v1,urn:own:v1");
        let request = request.body(Body::from(body)).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["a2a-extensions"], "urn:own:v1");
    }
}

async fn card(api: &crate::Api, version: Option<&str>, path: &str) -> (HeaderMap, Value) {
    let mut request = Request::get(path);
    if let Some(version) = version {
        request = request.header("a2a-version", version);
    }
    let answer = api.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let headers = answer.headers().clone();
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (headers, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_card_has_the_requested_version() {
    let node = Node::start().await;
    let path = "/.well-known/agent-card.json";
    let (headers, of_both) = card(&node.api, None, path).await;
    assert_eq!(headers["vary"], "A2A-Version");
    assert_eq!(of_both["protocolVersion"], "0.3.0");
    assert!(of_both["supportedInterfaces"].is_array());
    for (version, path) in [
        (Some("0.3"), path),
        (Some("0.1"), "/.well-known/agent.json"),
        (Some("9.9"), path),
        (None, "/.well-known/agent.json?A2A-Version=0.3.1"),
    ] {
        assert_eq!(card(&node.api, version, path).await.1, of_both, "{version:?} {path}");
    }
    let (pure_headers, pure) = card(&node.api, Some("1.0"), path).await;
    assert!(pure.get("url").is_none() && pure.get("protocolVersion").is_none());
    assert_ne!(headers["etag"], pure_headers["etag"]);
    let by_query = card(&node.api, None, &format!("{path}?A2A-Version=1.0.2")).await.1;
    assert_eq!(by_query, pure);
}

#[tokio::test]
async fn with_0_3_off_no_part_of_it_is_served() {
    let node = Node::start().await;
    let api = node.configured(|options| options.versions.v0_3 = false);
    let path = "/.well-known/agent-card.json";
    let pure = card(&api, Some("1.0"), path).await.1;
    assert_eq!(card(&api, None, path).await.1, pure);
    let interfaces = pure["supportedInterfaces"].as_array().unwrap();
    assert!(interfaces.iter().all(|interface| interface["protocolVersion"] == "1.0"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}"#;
    let request = Request::post("/").body(Body::from(call)).unwrap();
    let answer = api.router().oneshot(request).await.unwrap();
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["error"]["code"], -32009);
    assert_eq!(body["error"]["data"][0]["metadata"]["supported"], "1.0, 0.1");
}

#[tokio::test]
async fn a_full_queue_answers_429_with_retry_after() {
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
