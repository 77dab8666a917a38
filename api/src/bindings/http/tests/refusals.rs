//! Refused requests and the advice in their errors.

use super::{SEND, answered, ask, json_of, sent, text};
use crate::testing::Node;
use longhaul_domain::AgentLimits;
use serde_json::{Value, json};

#[tokio::test]
async fn an_error_before_a_stream_is_plain_json() {
    let node = Node::start().await;
    for (line, body, wanted) in [
        ("POST /tasks/nope:subscribe", "", 404),
        ("GET /tasks/nope:subscribe accept=text/event-stream", "", 404),
        ("POST /message:stream", "{}", 400),
        ("POST /message:stream", "{", 400),
    ] {
        let (status, headers, text) = text(ask(&node, line, body).await).await;
        assert_eq!(status, wanted, "{line}");
        assert_eq!(headers["content-type"], "application/a2a+json");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["error"]["code"], wanted);
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused_with_advice() {
    let node = Node::start().await;
    for (coding, wanted) in [("gzip", 415), ("br", 415), ("Identity", 200)] {
        for place in ["/message:send", "/"] {
            if place == "/" && wanted == 200 {
                continue;
            }
            let line = format!("POST {place} content-encoding={coding}");
            let (status, _, text) = text(ask(&node, &line, SEND).await).await;
            assert_eq!(status, wanted, "{line}");
            assert!(wanted == 200 || text.contains("send it as it is"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_body_declared_as_another_type_is_refused() {
    let node = Node::start().await;
    for kind in ["application/a2a+json", "application/json;charset=utf-8", "Application/JSON"] {
        let line = format!("POST /message:send content-type={kind}");
        assert_eq!(ask(&node, &line, SEND).await.status(), 200, "{kind}");
    }
    let called_a_form = "POST /message:send content-type=application/x-www-form-urlencoded";
    assert_eq!(ask(&node, called_a_form, SEND).await.status(), 200, "an object is no form");
    for (kind, body) in [("text/plain", SEND), ("application/x-www-form-urlencoded", "a=1")] {
        let line = format!("POST /message:send content-type={kind}");
        let (status, refused) = answered(&node, &line, body).await;
        let error = &refused["error"];
        assert_eq!((status, &error["code"]), (415, &json!(415)), "{kind}");
        assert_eq!(error["details"][0]["reason"], "CONTENT_TYPE_NOT_SUPPORTED");
        assert!(error["message"].as_str().unwrap().contains("application/a2a+json"), "{error}");
    }
    let (status, _) = answered(&node, "POST /tasks/x:cancel content-type=text/plain", "").await;
    assert_eq!(status, 404, "there is no body");
    let (status, refused) = answered(&node, "POST /message:send", "<a/>").await;
    assert_eq!((status, &refused["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
}

#[tokio::test]
async fn an_unknown_path_lists_the_known_ones() {
    let node = Node::start().await;
    for line in [
        "GET /nowhere",
        "POST /tasks/",
        "GET /operator/tasks",
        "POST ///message:send",
        "GET /agents/echo/nothing",
    ] {
        let (status, lost) = answered(&node, line, "").await;
        let error = &lost["error"];
        assert_eq!((status, &error["status"]), (404, &json!("NOT_FOUND")), "{line}");
        assert!(error["message"].as_str().unwrap().contains("POST /message:send"), "{error}");
    }
    for (line, allowed) in [
        ("GET /message:send", "POST"),
        ("PUT /v1/tasks/x", "GET, HEAD"),
        ("DELETE /tasks/x:subscribe", "GET, HEAD, POST"),
        ("GET /", "POST"),
        ("DELETE /agents/echo/a2a", "POST"),
    ] {
        let (status, headers, text) = text(ask(&node, line, "").await).await;
        assert_eq!(
            (status.as_u16(), &headers["allow"]),
            (405, &allowed.parse().unwrap()),
            "{line}"
        );
        assert!(text.starts_with(r#"{"error":{"code":405,"#), "{text}");
    }
}

#[tokio::test]
async fn errors_have_their_status_and_their_headers() {
    let node = Node::with_keys().await;
    let (status, headers, _) = text(ask(&node, "GET /tasks", "").await).await;
    assert_eq!(status, 401);
    assert!(headers.contains_key("www-authenticate"));

    let node = Node::with_limits(AgentLimits { queued: Some(1), ..AgentLimits::default() }).await;
    sent(&node).await;
    let other = SEND.replace("\"m\"", "\"other\"");
    let (status, headers, _) = text(ask(&node, "POST /message:send", other).await).await;
    assert_eq!((status.as_u16(), headers.contains_key("retry-after")), (429, true));

    let large = "x".repeat((10 << 20) + 1);
    let (status, refused) = json_of(ask(&node, "POST /message:send", large).await).await;
    assert_eq!(
        (status, &refused["error"]["details"][0]["reason"]),
        (413, &json!("REQUEST_TOO_LARGE"))
    );
}

#[tokio::test]
async fn errors_of_0_3_also_have_its_own_form() {
    let node = Node::start().await;
    let (status, refused) = answered(&node, "GET /v1/tasks/nope", "").await;
    assert_eq!(status, 404);
    assert_eq!((&refused["code"], &refused["type"]), (&json!(-32001), &json!("TaskNotFoundError")));
    assert_eq!(refused["message"], refused["error"]["message"]);
    assert_eq!(refused["data"], refused["error"]["details"]);
    assert_eq!(refused["error"]["code"], 404);
    let (_, refused) = answered(&node, "GET /v1/card", "").await;
    assert_eq!(
        (&refused["code"], &refused["type"]),
        (&json!(-32007), &json!("AuthenticatedExtendedCardNotConfiguredError"))
    );
    let (_, refused) = answered(&node, "GET /tasks/nope", "").await;
    assert_eq!(refused.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn address_and_tenant_must_name_one_agent() {
    let node = Node::start().await;
    let body = SEND.replacen('{', r#"{"tenant":"other","#, 1);
    let (status, _) = answered(&node, "POST /echo/message:send", &body).await;
    assert_eq!(status, 200, "what the path says counts");
    for line in ["POST /agents/echo/other/message:send", "POST /No/message:send"] {
        let (status, refused) = answered(&node, line, SEND).await;
        let field = &refused["error"]["details"][1]["fieldViolations"][0]["field"];
        assert_eq!((status, field), (400, &json!("tenant")), "{line}");
    }
}
