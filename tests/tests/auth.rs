//! Keys, scopes and owners: permissions, and no information about the resources of others.

use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::process::ProcessBuilder;
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, get, id, message, reply_to, return_immediately, send, start, state, task_of,
    wait_for_state, with,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, eventually, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    a_key_is_accepted_as_bearer_token_and_in_its_own_header,
    missing_and_unknown_keys_are_challenged,
    a_key_does_what_its_scopes_say,
    resources_of_others_are_not_found,
    message_ids_and_contexts_of_two_owners_are_separate,
    keys_of_one_owner_see_the_same_tasks,
    secrets_do_not_reach_the_log,
    cards_and_health_need_no_key,
);

const UNKNOWN: &str = "018f2f6e-7b7a-7000-8000-000000000001";

/// Two owners with a key each, and a client for each.
async fn two_owners(mode: Mode) -> (Stack, Client, Client) {
    let stack =
        StackBuilder::new(mode).key("alice", "read,write").key("bob", "read,write").start().await;
    let (alice, bob) = (stack.client(), stack.anonymous().bearer(stack.key(1)));
    (stack, alice, bob)
}

async fn a_key_is_accepted_as_bearer_token_and_in_its_own_header(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read,write").start().await;
    let key = stack.key(0);
    for client in [
        stack.anonymous().bearer(key),
        stack.anonymous().header("authorization", &format!("bearer  {key} ")),
        stack.anonymous().header("x-api-key", key),
    ] {
        assert_eq!(state(&send(&client, "hello").await), "COMPLETED");
    }
}

async fn missing_and_unknown_keys_are_challenged(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read,write").start().await;
    let key = stack.key(0).to_owned();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message("x")});
    let nobody = stack.anonymous();
    for client in [
        nobody.clone(),
        nobody.clone().bearer("wrong"),
        nobody.clone().bearer(&key[..key.len() - 1]),
        nobody.clone().bearer(&format!("{key}x")),
        nobody.clone().bearer(&key.to_uppercase()),
        nobody.clone().header("authorization", &format!("Basic {key}")),
        nobody.clone().header("authorization", "Bearer "),
        nobody.clone().header("authorization", &key),
        nobody.clone().header("x-api-key", ""),
        nobody.clone().header("x-api-key", &"k".repeat(5000)),
    ] {
        let answer = client.post("/", body.to_string()).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{:?}", answer.headers);
        assert_eq!(answer.json()["error"]["code"], -32050);
        assert_eq!(answer.json()["error"]["data"][0]["reason"], "UNAUTHENTICATED");
    }
    // An unauthenticated caller learns nothing about methods and bodies either.
    assert_eq!(nobody.post("/", "garbage").await.status, 401);
    let listed = stack.client().call("ListTasks", json!({})).await;
    assert_eq!(listed["totalSize"], 0);
}

async fn a_key_does_what_its_scopes_say(mode: Mode) {
    let setup = StackBuilder::new(mode).key("alice", "read,write").key("alice", "read");
    let stack = setup.key("alice", "write").start().await;
    let both = stack.client();
    let (read, write) =
        (stack.anonymous().bearer(stack.key(1)), stack.anonymous().bearer(stack.key(2)));
    let task = send(&both, "!ask").await;
    let of_task = json!({"id": task["id"]});
    let denied = |client: &Client, method: &'static str, params: Value| {
        let client = client.clone();
        async move {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            let answer = client.post("/", body.to_string()).await;
            assert_eq!(answer.status, 403, "{method}: {}", answer.text());
            let error = answer.json()["error"].clone();
            assert_eq!(error["code"], -32051, "{method}");
            assert_eq!(error["data"][0]["reason"], "PERMISSION_DENIED");
        }
    };
    denied(&read, "SendMessage", message("x")).await;
    denied(&read, "SendStreamingMessage", message("x")).await;
    denied(&read, "SendMessage", reply_to(&id(&task), "x")).await;
    denied(&read, "CancelTask", of_task.clone()).await;
    denied(&write, "GetTask", of_task.clone()).await;
    denied(&write, "ListTasks", json!({})).await;
    denied(&write, "SubscribeToTask", of_task.clone()).await;
    assert_eq!(read.call("GetTask", of_task.clone()).await, task);
    assert_eq!(read.call("ListTasks", json!({})).await["totalSize"], 1);
    write.call("SendMessage", return_immediately(message("x"))).await;
    write.call("CancelTask", of_task).await;
    wait_for_state(&read, &id(&task), "CANCELED").await;
}

async fn resources_of_others_are_not_found(mode: Mode) {
    let (stack, alice, bob) = two_owners(mode).await;
    let parked = send(&alice, "!ask").await;
    let ended = send(&alice, "done").await;
    let running = start(&alice, "!hang").await;
    for task in [&parked, &ended, &running] {
        let calls = |task: &str| {
            [
                ("GetTask", json!({"id": task})),
                ("GetTask", json!({"id": task, "historyLength": 0})),
                ("CancelTask", json!({"id": task})),
                ("SubscribeToTask", json!({"id": task})),
                ("SendMessage", with(reply_to(task, "x"), "/message/messageId", json!("same"))),
                (
                    "SendStreamingMessage",
                    with(reply_to(task, "x"), "/message/contextId", json!("c")),
                ),
            ]
        };
        for ((method, others), (_, unknown)) in calls(&id(task)).into_iter().zip(calls(UNKNOWN)) {
            for cursor in [None, Some("0")] {
                let bob = cursor
                    .map_or(bob.clone(), |cursor| bob.clone().header("last-event-id", cursor));
                let answer = |params: &Value| {
                    let body =
                        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
                    let bob = bob.clone();
                    async move { bob.post("/", body.to_string()).await }
                };
                let (others, unknown) = (answer(&others).await, answer(&unknown).await);
                assert_eq!(others.json()["error"]["code"], -32001, "{method}");
                let text = others.text().replace(&id(task), UNKNOWN);
                assert_eq!((others.status, text), (unknown.status, unknown.text()), "{method}");
            }
        }
    }
    assert_eq!(bob.call("ListTasks", json!({})).await["tasks"], json!([]));
    let in_context = bob.call("ListTasks", json!({"contextId": parked["contextId"]})).await;
    assert_eq!((&in_context["tasks"], &in_context["totalSize"]), (&json!([]), &json!(0)));
    assert_eq!(get(&alice, &id(&parked)).await, parked, "nothing was written");
    assert_ne!(state(&get(&alice, &id(&running)).await), "CANCELED");
    stack.assert_no_errors_logged();
}

async fn message_ids_and_contexts_of_two_owners_are_separate(mode: Mode) {
    let (_stack, alice, bob) = two_owners(mode).await;
    let params = with(message("hello"), "/message/contextId", json!("shared name"));
    let hers = task_of(alice.call("SendMessage", params.clone()).await);
    let his = task_of(bob.call("SendMessage", params).await);
    assert_ne!(hers["id"], his["id"], "the same message of another owner is another message");
    for client in [&alice, &bob] {
        let listed = client.call("ListTasks", json!({"contextId": "shared name"})).await;
        assert_eq!(listed["totalSize"], 1);
    }
    // A page token of another owner is rejected.
    send(&alice, "second").await;
    let page = alice.call("ListTasks", json!({"pageSize": 1})).await;
    let token = json!({"pageSize": 1, "pageToken": page["nextPageToken"]});
    let answer = bob.try_call("ListTasks", token).await;
    let shown = answer.map(|page| page["tasks"].to_string()).unwrap_or_default();
    assert!(!shown.contains(&id(&hers)), "{shown}");
}

async fn keys_of_one_owner_see_the_same_tasks(mode: Mode) {
    let stack =
        StackBuilder::new(mode).key("acme", "read,write").key("acme", "read,write").start().await;
    let task = send(&stack.client(), "!ask").await;
    let other = stack.anonymous().bearer(stack.key(1));
    assert_eq!(get(&other, &id(&task)).await, task);
    assert_eq!(
        state(&task_of(other.call("SendMessage", reply_to(&id(&task), "x")).await)),
        "COMPLETED"
    );
}

async fn secrets_do_not_reach_the_log(mode: Mode) {
    let stack =
        StackBuilder::new(mode).set("log.filter", "debug").key("alice", "read,write").start().await;
    let key = stack.key(0).to_owned();
    send(&stack.client(), "hello").await;
    let wrong = "lh_000000000000_a-wrong-key-that-is-secret-too";
    stack.anonymous().bearer(wrong).post("/", "{}").await;
    stack.anonymous().header("x-api-key", &key).post("/", "garbage").await;
    let logs = stack.logs();
    let secret = key.rsplit('_').next().expect("a key has a secret");
    assert!(!logs.contains(secret), "the key is in the log");
    assert!(!logs.contains("a-wrong-key"), "a wrong key is in the log");
    if mode == Mode::Distributed {
        assert!(!logs.contains("guest:guest"), "the broker's password is in the log");
    }
}

async fn cards_and_health_need_no_key(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read,write").start().await;
    let nobody = stack.anonymous();
    for path in ["/healthz", "/readyz", "/.well-known/agent-card.json"] {
        assert_eq!(nobody.get(path).await.status, 200, "{path}");
    }
    let card = nobody.get("/.well-known/agent-card.json").await.json();
    assert!(
        card["securitySchemes"].as_object().is_some_and(|schemes| !schemes.is_empty()),
        "{card}"
    );
    let requirements = card["securityRequirements"].as_array().cloned().unwrap_or_default();
    assert!(!requirements.is_empty(), "{card}");
}

#[tokio::test]
async fn a_revoked_key_stops_working_within_seconds() {
    let stack =
        StackBuilder::new(Mode::Distributed).nodes(2).key("alice", "read,write").start().await;
    for node in [0, 1] {
        assert_eq!(state(&send(&stack.client_at(node), "hello").await), "COMPLETED");
    }
    let key_id = stack.key(0).split('_').nth(1).expect("a key holds its id").to_owned();
    expect_success(&stack.command(&["keys", "revoke", &key_id]).start());
    for node in [0, 1] {
        let client = stack.client_at(node);
        eventually(Duration::from_secs(10), "the key is refused", async || {
            let answer = client.post("/", r#"{"jsonrpc":"2.0","id":1,"method":"ListTasks"}"#).await;
            if answer.status == 401 { Ok(()) } else { Err(answer.status) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_key_revoked_while_dev_does_not_run_is_refused_afterwards() {
    let setup = StackBuilder::new(Mode::Embedded).key("alice", "read,write");
    let mut stack = setup.key("alice", "read,write").start().await;
    stack.kill_node(0);
    let key_id = stack.key(1).split('_').nth(1).expect("a key holds its id").to_owned();
    let data = stack.folder().join("data").display().to_string();
    expect_success(&stack.command(&["keys", "revoke", &key_id, "--data", &data]).start());
    stack.start_node(0).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ListTasks"}"#;
    let revoked = stack.anonymous().bearer(stack.key(1)).post("/", body).await;
    assert_eq!(revoked.status, 401);
    assert_eq!(stack.client().post("/", body).await.status, 200, "the other key works on");
}

#[tokio::test]
async fn an_address_beyond_loopback_needs_keys_or_an_explicit_flag() {
    let folder = tempfile::TempDir::new().expect("the temporary folder is writable");
    let port = Port::reserve();
    let listen = format!("0.0.0.0:{}", port.number());
    for command in
        [&["dev"][..], &["api", "--auth", "none", "--database-url", "postgres://x@127.0.0.1:1/x"]]
    {
        let arguments = command.iter().copied().chain(["--listen", &listen]);
        let process = ProcessBuilder::lab(arguments).current_dir(folder.path()).start();
        assert_eq!(process.wait_exit(TASK_TIMEOUT), ProcessExit::Code(2), "{}", process.stderr());
        assert!(process.stderr().contains("allow_unauthenticated"), "{}", process.stderr());
        assert!(!process.stderr().contains("panicked"), "{}", process.stderr());
    }
}
