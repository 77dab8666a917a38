use crate::testing::{Node, agent, artifact_entry, caller, send, send_with};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use longhaul_domain::{KeyId, OwnerId, Part, Scope, Scopes, TaskKey};
use longhaul_store::NewKey;
use longhaul_wire::{SendOutcome, SendRequest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

async fn ask(node: &Node, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let uri = format!("/operator/v1{path}");
    let request = Request::builder().method(method).uri(uri).body(body).unwrap();
    let response = node.api.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn get(node: &Node, path: &str) -> Value {
    let (status, body) = ask(node, "GET", path, None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

async fn post(node: &Node, path: &str) -> Value {
    let (status, body) = ask(node, "POST", path, None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// A task that failed for good.
async fn dead(node: &Node, request: SendRequest) -> TaskKey {
    let sent = node.service().send(&caller(), request).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    node.claim().await.fail("the disk is on fire").await;
    task.key
}

fn keyed(name: &str, scope: Scope) -> NewKey {
    NewKey {
        id: KeyId(name.to_owned()),
        owner: "ops".to_owned(),
        hash: Sha256::digest(name).into(),
        scopes: Scopes::new([scope]),
        label: String::new(),
    }
}

#[tokio::test]
async fn only_operators_may_use_the_api() {
    let node = Node::with_keys().await;
    node.store.create_key(keyed("boss", Scope::Admin)).await.unwrap();
    node.store.create_key(keyed("operator", Scope::Operator)).await.unwrap();
    for (key, path, status, code) in [
        (None, "/queues", 401, "UNAUTHENTICATED"),
        (Some("boss"), "/queues", 403, "PERMISSION_DENIED"),
        (Some("boss"), "/nowhere", 403, "PERMISSION_DENIED"),
        (Some("operator"), "/nowhere", 404, "NOT_FOUND"),
        (Some("operator"), "/queues", 200, ""),
    ] {
        let mut request = Request::builder().uri(format!("/operator/v1{path}"));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = node.api.router().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{key:?} {path}");
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"].as_str().unwrap_or(""), code, "{body}");
    }
}

#[tokio::test]
async fn a_dead_task_is_listed_and_shown_with_its_log() {
    let node = Node::start().await;
    let key = dead(&node, send("m")).await;
    let listed = get(&node, "/dead?owner=local&agent=echo&because=fatal&cause=DISK").await;
    let letter = &listed["dead"][0];
    assert_eq!(letter["taskId"], key.task.to_string());
    assert_eq!((&letter["owner"], &letter["because"]), (&json!("local"), &json!("fatal")));
    assert_eq!(letter["cause"], "the disk is on fire");
    assert_eq!(listed["next"], Value::Null);
    assert_eq!(get(&node, "/dead?cause=water").await["dead"], json!([]));
    let shown = get(&node, &format!("/dead/local/{}", key.task)).await;
    assert_eq!(shown["task"]["status"]["state"], "TASK_STATE_FAILED");
    assert_eq!(shown["letter"], *letter);
    let kinds: Vec<&str> =
        shown["log"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "status", "status"]);
    assert_eq!(shown["log"][2]["body"]["failed"]["because"], "fatal");
}

#[tokio::test]
async fn a_log_too_large_to_show_is_cut_to_its_end() {
    let node = Node::with_answers(20_000).await;
    let sent = node.service().send(&caller(), send("m")).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    let mut run = node.claim().await;
    for _ in 0..4 {
        run.append(vec![artifact_entry(Part::text("x".repeat(9_000)))]).await;
    }
    run.fail("the disk is on fire").await;
    let shown = get(&node, &format!("/dead/local/{}", task.key.task)).await;
    let log = shown["log"].as_array().unwrap();
    let bodies: usize = log.iter().map(|entry| entry["body"].to_string().len()).sum();
    assert!(log.len() > 1 && bodies <= 20_000, "{} entries, {bodies} bytes", log.len());
    assert_eq!(log.last().unwrap()["body"]["failed"]["because"], "fatal");
}

#[tokio::test]
async fn dead_letters_are_paged_without_overlap() {
    let node = Node::start().await;
    for id in ["a", "b", "c"] {
        dead(&node, send(id)).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/dead?limit=2".to_owned());
    loop {
        let page = get(&node, &path).await;
        seen.extend(page["dead"].as_array().unwrap().iter().map(|l| l["taskId"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/dead?limit=2&after={next}");
    }
    assert_eq!(seen.len(), 3);
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_redriven_task_begins_again_once() {
    let mut node = Node::start().await;
    let options = r#"{"deadline":"2100-01-01T00:00:00Z","idempotencyKey":"k","priority":4}"#;
    let key = dead(&node, send_with("m", options)).await;
    node.wakes.try_recv().unwrap();
    let path = format!("/dead/1/{}/redrive", key.task);
    let done = post(&node, &path).await;
    assert_eq!(done["already"], false);
    let again = post(&node, &path).await;
    assert_eq!(again, json!({"taskId": done["taskId"], "already": true}));
    let new = node.wakes.try_recv().unwrap().task;
    assert_eq!(done["taskId"], new.task.to_string());
    let task = node.store.read_task(new, longhaul_store::SnapshotOptions::ALL).await;
    let task = task.unwrap().unwrap();
    let message = &task.history[0].message;
    assert_eq!(message.reference_task_ids, [key.task.to_string()]);
    assert_ne!(message.message_id.as_str(), "m");
    assert!(message.metadata.as_ref().unwrap().as_str().ends_with(r#"{"priority":4}}"#));
    assert_eq!(get(&node, "/dead").await["dead"], json!([]));
    let handled = get(&node, "/dead?handled=true").await;
    assert_eq!(handled["dead"][0]["redrivenAs"], done["taskId"]);
}

#[tokio::test]
async fn redrive_by_filter_reports_if_there_are_more() {
    let node = Node::start().await;
    for id in ["a", "b", "c"] {
        dead(&node, send(id)).await;
    }
    let body = json!({"agent": "echo", "limit": 2});
    let (status, done) = ask(&node, "POST", "/dead/redrive", Some(body.clone())).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert_eq!((done["redriven"].as_array().unwrap().len(), &done["more"]), (2, &json!(true)));
    let (_, done) = ask(&node, "POST", "/dead/redrive", Some(body)).await;
    assert_eq!((done["redriven"].as_array().unwrap().len(), &done["more"]), (1, &json!(false)));
}

#[tokio::test]
async fn a_dismissed_task_is_unlisted_and_not_redriven() {
    let node = Node::start().await;
    let path = format!("/dead/local/{}", dead(&node, send("m")).await.task);
    assert_eq!(post(&node, &format!("{path}/dismiss")).await["already"], false);
    assert_eq!(post(&node, &format!("{path}/dismiss")).await["already"], true);
    assert_eq!(get(&node, "/dead").await["dead"], json!([]));
    let (status, refused) = ask(&node, "POST", &format!("{path}/redrive"), None).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::CONFLICT, &json!("CONFLICT")));
}

#[tokio::test]
async fn invalid_input_is_refused_by_name() {
    let node = Node::start().await;
    let unknown = "018f2f6e-7b7a-7000-8000-000000000001";
    for (method, path, body, status, word) in [
        ("GET", "/dead?because=bad", None, 400, "attempts-used-up"),
        ("GET", "/dead?from=yesterday", None, 400, "from"),
        ("GET", "/dead?limit=0", None, 400, "limit"),
        ("GET", "/dead?limit=x", None, 400, "limit"),
        ("GET", "/dead?after=x", None, 400, "after"),
        ("GET", "/dead?what=x", None, 400, "what"),
        ("GET", "/dead?owner=nobody", None, 404, "owner"),
        ("GET", "/dead?owner=77", None, 404, "owner"),
        ("GET", &format!("/dead/local/{unknown}"), None, 404, "dead"),
        ("POST", "/dead/local/x/redrive", None, 404, "dead"),
        ("POST", "/dead/redrive", Some(json!({"agents": "echo"})), 400, "agents"),
        ("POST", "/dead/redrive", Some(json!({"agent": "\u{0}"})), 400, "U+0000"),
        ("DELETE", "/dead", None, 405, "method"),
        ("GET", "/dead?cause=%00", None, 400, "cause"),
        ("GET", "/dead?owner=%00", None, 404, "owner"),
        ("GET", "/dead/%00/x", None, 404, "owner"),
        ("GET", "/dead/%ff/x", None, 400, "UTF-8"),
        ("PUT", "/schedules/local/%ff", Some(json!({})), 400, "UTF-8"),
        ("POST", "/schedules/local/%00/fire", None, 404, "schedule"),
        ("DELETE", "/schedules/local/%00", None, 404, "schedule"),
        ("GET", "/schedules/local/none", None, 404, "schedule"),
        ("DELETE", "/schedules/local/none", None, 404, "schedule"),
    ] {
        let (got, answer) = ask(&node, method, path, body).await;
        assert_eq!(got.as_u16(), status, "{method} {path}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(word), "{method} {path}: {message}");
    }
}

#[tokio::test]
async fn queues_and_workers_are_shown() {
    let node = Node::start().await;
    let run = {
        node.service().send(&caller(), send("m")).await.unwrap();
        node.claim().await
    };
    let queues = get(&node, "/queues").await;
    assert_eq!(queues["queues"][0]["agent"], "echo");
    assert_eq!(queues["queues"][0]["running"], 1);
    let workers = get(&node, "/workers").await;
    assert_eq!(workers["workers"][0]["name"], "test");
    assert_eq!(run.claimed.key.owner, OwnerId::LOCAL);
}

fn nightly() -> Value {
    json!({"agent": agent().as_str(), "cron": "0 3 * * *", "timeZone": "Europe/Berlin", "text": "tidy up"})
}

#[tokio::test]
async fn a_schedule_lives_from_put_to_delete() {
    let mut node = Node::start().await;
    let path = "/schedules/local/nightly";
    let (status, created) = ask(&node, "PUT", path, Some(nightly())).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert_eq!((&created["missed"], &created["paused"]), (&json!("once"), &json!(false)));
    assert_eq!(created["message"]["parts"][0]["text"], "tidy up");
    assert!(created["nextAt"].is_string() && created["last"].is_null(), "{created}");
    let paused = post(&node, &format!("{path}/pause")).await;
    assert_eq!((&paused["paused"], &paused["nextAt"]), (&json!(true), &Value::Null));
    let mut body = nightly();
    body["missed"] = json!("all");
    let (status, changed) = ask(&node, "PUT", path, Some(body)).await;
    assert_eq!((status, &changed["paused"]), (StatusCode::OK, &json!(true)));
    let resumed = post(&node, &format!("{path}/resume")).await;
    assert!(resumed["nextAt"].is_string(), "{resumed}");
    let fired = post(&node, &format!("{path}/fire")).await;
    assert_eq!(fired["taskId"], node.wakes.try_recv().unwrap().task.task.to_string());
    let shown = get(&node, path).await;
    assert_eq!(shown["last"]["taskId"], fired["taskId"]);
    assert_eq!(shown["nextAt"], resumed["nextAt"]);
    assert_eq!(get(&node, "/schedules?owner=local").await["schedules"], json!([shown]));
    let (status, _) = ask(&node, "DELETE", path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(get(&node, "/schedules").await["schedules"], json!([]));
}

#[tokio::test]
async fn a_schedule_that_cannot_fire_is_refused() {
    let node = Node::start().await;
    let durability = |options: Value| json!({"parts": [{"text": "x"}], "metadata": {"urn:longhaul:a2a:durability:v1": options}});
    for (member, value, word) in [
        ("cron", json!("61 * * * *"), "cron"),
        ("cron", json!("0 0 30 2 *"), "no time"),
        ("timeZone", json!("Mars"), "Mars"),
        ("agent", json!("nobody"), "nobody"),
        ("agent", json!("No Body"), "agent"),
        ("missed", json!("some"), "some"),
        ("contextId", json!(""), "contextId"),
        ("text", json!(""), "text"),
        ("timezone", json!("UTC"), "timezone"),
        ("message", json!({"parts": []}), "message"),
        ("message", json!({"parts": [{}]}), "message.parts[0]"),
        ("message", json!({"parts": [{"text": "x"}], "taskId": "t"}), "taskId"),
        ("message", durability(json!({"priority": 1_000})), "priority"),
        ("message", durability(json!({"deadline": "2100-01-01T00:00:00Z"})), "deadline"),
        ("message", json!({"parts": [{"text": "x".repeat(300_000)}]}), "larger"),
    ] {
        let mut body = nightly();
        if member == "message" {
            body.as_object_mut().unwrap().remove("text");
        }
        body[member] = value;
        let (status, refused) = ask(&node, "PUT", "/schedules/local/s", Some(body)).await;
        let message = refused["error"]["message"].as_str().unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{message}");
        assert!(message.contains(word), "{member}: {message}");
    }
    let (status, _) = ask(&node, "PUT", "/schedules/local/a%20b", Some(nightly())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
