//! Web pages and DNS rebinding: a server without keys answers its own pages and no others.

use longhaul_proto::pb::v1::{ListTasksRequest, a2a_service_client::A2aServiceClient};
use longhaul_tests::{
    Mode, Stack, StackBuilder,
    tasks::{TASK_TIMEOUT, message},
};
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, transport::Channel};

const CARD: &str = "/.well-known/agent-card.json";

async fn tasks(stack: &Stack) -> usize {
    let page = stack.client().call("ListTasks", json!({})).await;
    page["tasks"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_drives_a_server_without_keys() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message("hi")});
    // Requests that a page may send to another origin without a preflight.
    let simple = stack.client().header("content-type", "text/plain");
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let page = simple.clone().header(name, value);
        let refused = page.post("/", call.to_string()).await;
        assert_eq!(refused.status, 403, "{name}: {value}");
        assert_eq!(refused.json()["error"]["code"], -32051, "{name}: {value}");
        assert_eq!(page.get("/tasks").await.status, 403, "{name}: {value}");
        assert_eq!(page.get("/operator/v1/queues").await.status, 403, "{name}: {value}");
        for public in [CARD, "/healthz", "/readyz"] {
            assert_eq!(page.get(public).await.status, 200, "{public} {name}: {value}");
        }
    }
    assert_eq!(tasks(&stack).await, 0);
    let own = stack.client().header("origin", &stack.base());
    assert_eq!(own.post("/", call.to_string()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_for_names_of_the_server_alone() {
    let stack = StackBuilder::new(Mode::Embedded)
        .set("server.allowed_hosts", "agents.internal")
        .start()
        .await;
    let list = async |authority: &str| {
        let origin = format!("http://{authority}").parse().expect("a URL");
        let channel = Channel::from_shared(stack.base()).expect("an address").origin(origin);
        let mut client = A2aServiceClient::new(channel.connect_lazy());
        let answer = client.list_tasks(ListTasksRequest::default());
        timeout(TASK_TIMEOUT, answer).await.expect("there is an answer")
    };
    for authority in ["localhost", "127.0.0.1:1", "[::1]", "agents.internal:8080"] {
        assert!(list(authority).await.is_ok(), "{authority}");
    }
    let refused = list("evil.example").await.expect_err("it is not a name of the server");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("server.allowed_hosts"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_allowed_may_ask_call_and_read() {
    for setup in [
        StackBuilder::new(Mode::Embedded),
        StackBuilder::new(Mode::Embedded).key("acme", "read,write"),
    ] {
        let stack = setup.set("server.cors_origins", "https://app.example").start().await;
        let page = stack.client().header("origin", "https://app.example");
        let asks = page.clone().header("access-control-request-method", "POST");
        let asks = asks.header("access-control-request-headers", "authorization,a2a-version");
        for path in ["/", "/message:send", "/lf.a2a.v1.A2AService/SendMessage"] {
            let told = asks.ask(Method::OPTIONS, path, None).await;
            assert_eq!(told.status, 200, "{path}");
            assert_eq!(told.header("access-control-allow-origin"), "https://app.example");
            assert_eq!(told.header("access-control-allow-headers"), "authorization,a2a-version");
        }
        let answer = page.get("/tasks").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
        let other = stack.client().header("origin", "https://b.example");
        assert_eq!(other.get(CARD).await.header("access-control-allow-origin"), "*");
        let asks = other.header("access-control-request-method", "POST");
        assert_eq!(asks.ask(Method::OPTIONS, "/", None).await.status, 403);
    }
}
