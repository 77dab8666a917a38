//! Paths of requests, and addresses on cards.

use super::*;
use crate::{Api, server::RequestHandler};
use axum::response::Response;
use longhaul_signing::{Algorithm, CardSigner, KeyRing, PrivateKey};
use std::sync::Arc;

const CARD: &str = "/.well-known/agent-card.json";

async fn answer(api: &Api, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if method == "POST" { r#"{"jsonrpc":"2.0"}"# } else { "" };
    let dispatcher = api.dispatcher();
    timeout(TEST_TIMEOUT, dispatcher.handle(request.body(Body::from(body)).unwrap())).await.unwrap()
}

async fn shown(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_trailing_slash_has_no_meaning() {
    let node = Node::start().await;
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", CARD),
        ("GET", "/agents/echo/.well-known/agent.json"),
        ("GET", "/tasks"),
        ("GET", "/v1/card"),
        ("POST", "/message:send"),
        ("GET", "/operator/v1/queues"),
        ("POST", "/a2a"),
        ("POST", "/agents/echo"),
    ] {
        let plain = shown(answer(&node.api, method, path, &[]).await).await;
        assert_ne!(plain.0, StatusCode::NOT_FOUND, "{path}");
        let slash = shown(answer(&node.api, method, &format!("{path}/"), &[]).await).await;
        assert_eq!(slash, plain, "{path}");
    }
    let listed = answer(&node.api, "GET", "/tasks/?pageSize=0", &[]).await;
    assert_eq!(listed.status(), StatusCode::BAD_REQUEST, "the query stays");
}

#[tokio::test]
async fn a_prefix_that_a_proxy_leaves_in_place_is_ignored() {
    let node = Node::start().await;
    let below = |url: &str| node.configured(|options| options.public_url = Some(url.to_owned()));
    let api = below("https://a.example/apps/longhaul");
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", CARD),
        ("GET", "/tasks"),
        ("POST", "/"),
        ("POST", "/agents/echo"),
    ] {
        let plain = shown(answer(&api, method, path, &[]).await).await;
        assert_ne!(plain.0, StatusCode::NOT_FOUND, "{path}");
        let prefixed = format!("/apps/longhaul{path}");
        assert_eq!(shown(answer(&api, method, &prefixed, &[]).await).await, plain, "{path}");
    }
    let (status, _) = shown(answer(&api, "GET", "/apps/longhaulx/healthz", &[]).await).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // A prefix with a meaning of its own is left alone.
    let (status, _) =
        shown(answer(&below("https://a/agents"), "POST", "/agents/echo", &[]).await).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_card_for_the_requested_address_is_private_to_its_reader() {
    let node = Node::start().await;
    let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
    let signer = Arc::new(CardSigner::new(KeyRing::new(Some(key), []), None));
    let api = node.configured(|options| {
        options.public_url = None;
        options.allowed_hosts = vec!["agents.internal".to_owned()];
        options.card_signer = Some(signer);
    });
    let ask = async |host: &str| {
        let response = answer(&api, "GET", CARD, &[("host", host), ("a2a-version", "1.0")]).await;
        let headers = response.headers().clone();
        let card: Value = serde_json::from_str(&shown(response).await.1).unwrap();
        (headers, card)
    };
    let (requested, card) = ask("10.0.0.7:8080").await;
    assert_eq!(card["supportedInterfaces"][0]["url"], "http://10.0.0.7:8080/");
    assert_eq!(card.get("signatures"), None, "anybody could have one signed for another address");
    assert_eq!(
        (&requested["vary"], &requested["cache-control"]),
        (&"A2A-Version, Host".parse().unwrap(), &"private, max-age=60".parse().unwrap())
    );
    assert!(!requested.contains_key("last-modified"));
    let (listed, card) = ask("agents.internal:8080").await;
    assert_eq!(card["supportedInterfaces"][0]["url"], "http://agents.internal:8080/");
    assert!(card["signatures"].is_array());
    assert_eq!(listed["vary"], "A2A-Version, Host");
    assert_ne!(listed["etag"], requested["etag"]);
    assert_eq!(ask("10.0.0.7:8080").await.0["etag"], requested["etag"]);
    let known = [
        ("host", "10.0.0.7:8080"),
        ("if-none-match", requested["etag"].to_str().unwrap()),
        ("a2a-version", "1.0"),
    ];
    assert_eq!(answer(&api, "GET", CARD, &known).await.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_card_is_served_below_every_address_of_its_agent() {
    let node = Node::start().await;
    for (addresses, plain) in [
        (&["/a2a", "/v1", "/a2a/v1"][..], "/.well-known/agent-card.json"),
        (
            &["/agents/echo/a2a", "/echo", "/a2a/echo", "/agents/echo/v1", "/agents/%65cho/v1"],
            "/agents/echo/.well-known/agent-card.json",
        ),
    ] {
        let plain = shown(answer(&node.api, "GET", plain, &[]).await).await;
        assert_eq!(plain.0, StatusCode::OK);
        for address in addresses {
            let path = format!("{address}{CARD}");
            assert_eq!(shown(answer(&node.api, "GET", &path, &[]).await).await, plain, "{path}");
        }
    }
    let nobody = shown(answer(&node.api, "GET", &format!("/nobody{CARD}"), &[]).await).await;
    assert_eq!(nobody.0, StatusCode::NOT_FOUND);
    assert!(nobody.1.contains("no agent of this name"), "{}", nobody.1);
}

#[tokio::test]
async fn a_byte_order_mark_in_front_of_a_body_is_ignored() {
    let node = Node::start().await;
    let message = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]},"configuration":{"returnImmediately":true}}"#;
    let call = sending("SendMessage", "n");
    for (path, body) in [("/", &call[..]), ("/message:send", message)] {
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(format!("\u{feff}{body}"))).unwrap();
        let (status, text) = shown(node.api.dispatcher().handle(request).await).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.contains("TASK_STATE_SUBMITTED"), "{text}");
    }
}

#[tokio::test]
async fn a_reader_that_has_all_events_gets_204() {
    let node = Node::start().await;
    let service = node.service();
    let sent = service.send(&caller(), send("m")).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    let path = format!("/tasks/{}:subscribe", task.key.task);
    let events = [("accept", "text/event-stream")];
    let again = |seq: &'static str| [events[0], ("last-event-id", seq)];
    let running = answer(&node.api, "GET", &path, &again("2")).await;
    assert_eq!(running.status(), StatusCode::OK, "there is more to come");
    run.end(longhaul_domain::log::StatusChange::to(longhaul_domain::TaskState::Completed)).await;
    let (status, text) = shown(answer(&node.api, "GET", &path, &again("2")).await).await;
    assert_eq!(status, StatusCode::OK);
    let last = text.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let headers = [events[0], ("last-event-id", &last[..])];
    let (status, text) = shown(answer(&node.api, "GET", &path, &headers).await).await;
    assert_eq!((status, &text[..]), (StatusCode::NO_CONTENT, ""));
}
