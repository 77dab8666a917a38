//! Requests from web pages, and for foreign host names, through the dispatcher.

use super::*;
use crate::{ApiOptions, server::RequestHandler};
use axum::response::Response;

/// A path of every binding, with its method and content type.
const PLACES: [(&str, &str, &str); 6] = [
    ("POST", "/", "application/json"),
    ("POST", "/agents/echo/a2a", "application/json"),
    ("POST", "/message:send", "application/a2a+json"),
    ("GET", "/tasks", "application/json"),
    ("GET", "/operator/v1/queues", "application/json"),
    ("POST", "/lf.a2a.v1.A2AService/SendMessage", "application/grpc"),
];

async fn answer(node: &Node, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let dispatcher = node.api.dispatcher();
    timeout(TEST_TIMEOUT, dispatcher.handle(request.body(Body::empty()).unwrap()))
        .await
        .expect("there is an answer")
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn page(options: &mut ApiOptions) {
    options.cors_origins = vec!["https://app.example".to_owned()];
}

#[tokio::test]
async fn every_binding_explains_a_rejected_origin() {
    let node = Node::start().await;
    for (name, value, says) in [
        ("origin", "https://evil.example", "server.cors_origins"),
        ("host", "evil.example", "server.allowed_hosts"),
        ("sec-fetch-site", "cross-site", "server.cors_origins"),
    ] {
        for (method, path, kind) in PLACES {
            let headers = [("content-type", kind), (name, value)];
            let refused = answer(&node, method, path, &headers).await;
            let (status, headers) = (refused.status(), refused.headers().clone());
            assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
            if kind == "application/grpc" {
                assert_eq!(
                    (status, headers["grpc-status"].as_bytes()),
                    (StatusCode::OK, &b"7"[..])
                );
                let message = headers["grpc-message"].to_str().unwrap();
                assert!(message.contains(says), "{message}");
                continue;
            }
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
            let body: Value = serde_json::from_str(&text(refused).await).unwrap();
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains(says), "{path}: {message}");
        }
    }
}

#[tokio::test]
async fn with_keys_no_origin_is_rejected() {
    let node = Node::with_keys().await;
    for (method, path, kind) in PLACES {
        let headers = [("content-type", kind), ("origin", "https://evil.example"), ("host", "x.y")];
        let response = answer(&node, method, path, &headers).await;
        assert_ne!(response.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn an_allowed_page_may_preflight_and_call_every_binding() {
    for node in [Node::with_options(page).await, {
        let keys = |options: &mut ApiOptions| {
            page(options);
            options.authentication = crate::Authentication::Keys;
        };
        Node::with_options(keys).await
    }] {
        for (method, path, kind) in PLACES {
            let origin = ("origin", "https://app.example");
            let wanted = "authorization, a2a-version, content-type, last-event-id, x-own";
            let asks = [
                origin,
                ("access-control-request-method", method),
                ("access-control-request-headers", wanted),
            ];
            let told = answer(&node, "OPTIONS", path, &asks).await;
            let (status, headers) = (told.status(), told.headers().clone());
            assert!(status.is_success(), "{path}: {status}");
            assert_eq!(headers["access-control-allow-origin"], "https://app.example");
            assert_eq!(headers["access-control-allow-headers"], wanted);
            let methods = headers["access-control-allow-methods"].to_str().unwrap();
            assert!(methods.contains(method), "{methods}");
            let called = answer(&node, method, path, &[origin, ("content-type", kind)]).await;
            let headers = called.headers();
            assert_eq!(headers["access-control-allow-origin"], "https://app.example", "{path}");
            let exposed = headers["access-control-expose-headers"].to_str().unwrap();
            for name in ["x-request-id", "a2a-extensions", "retry-after", "www-authenticate"] {
                assert!(exposed.contains(name), "{name} in {exposed}");
            }
            let varies = headers.get_all("vary").iter();
            let varies: Vec<&str> = varies.filter_map(|value| value.to_str().ok()).collect();
            assert!(varies.join(",").to_ascii_lowercase().contains("origin"), "{path}: {varies:?}");
        }
        let other = [("origin", "https://b.example"), ("access-control-request-method", "POST")];
        let refused = answer(&node, "OPTIONS", "/", &other).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(text(refused).await.contains("server.cors_origins"));
    }
}

#[tokio::test]
async fn cards_and_key_sets_are_open_to_every_page() {
    for node in [Node::start().await, Node::with_keys().await] {
        for path in [
            "/.well-known/agent-card.json",
            "/agents/echo/.well-known/agent.json",
            "/agents/nobody/.well-known/agent-card.json",
            "/.well-known/jwks.json",
        ] {
            // Also without an origin: a cache may hand that response to a page.
            for headers in [&[("origin", "https://evil.example"), ("host", "x.y")][..], &[]] {
                let card = answer(&node, "GET", path, headers).await;
                assert_ne!(card.status(), StatusCode::FORBIDDEN, "{path}");
                assert_eq!(card.headers()["access-control-allow-origin"], "*", "{path}");
            }
            let asks = [
                ("origin", "https://evil.example"),
                ("access-control-request-method", "GET"),
                ("access-control-request-headers", "a2a-version"),
            ];
            let told = answer(&node, "OPTIONS", path, &asks).await;
            assert!(told.status().is_success(), "{path}: {}", told.status());
            assert_eq!(told.headers()["access-control-allow-headers"], "a2a-version");
        }
    }
}
