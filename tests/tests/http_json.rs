//! HTTP+JSON: the same tasks as over JSON-RPC at their own addresses, with HTTP statuses for errors
//! and streams without an envelope, for clients of 1.0 and 0.3.

use longhaul_tests::sse::EventStream;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, fold, get, id, message, return_immediately, send, start, state, task_of,
    wait_for_parts, wait_for_state, with,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes};
use reqwest::Method;
use serde_json::{Value, json};

on_both_modes!(
    a_task_is_the_same_as_over_json_rpc,
    a_send_that_is_repeated_finds_its_task,
    a_stream_holds_the_events_of_json_rpc,
    a_broken_stream_resumes_on_another_node,
    a_list_takes_every_filter_from_the_query,
    a_running_task_is_canceled_once,
    errors_have_the_status_of_the_specification,
    keys_and_scopes_are_required,
    agents_are_found_by_address_and_by_tenant,
    clients_of_0_3_are_served_under_v1,
);

/// Posts parameters and returns the send's result.
async fn post(client: &Client, path: &str, params: &Value) -> Value {
    let answer = client.post(path, params.to_string()).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn got(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn open(client: &Client, method: Method, path: &str, body: &str) -> EventStream {
    let request = client.request(method, path).header("content-type", "application/json");
    let response = request.body(body.to_owned()).send().await.expect(path);
    EventStream::open(response).await
}

async fn subscribe(stack: &Stack, node: usize, task: &str, cursor: Option<&str>) -> EventStream {
    let client = stack.client_at(node);
    let client = match cursor {
        Some(cursor) => client.header("last-event-id", cursor),
        None => client,
    };
    open(&client, Method::GET, &format!("/tasks/{task}:subscribe"), "").await
}

type Events = Vec<(Option<String>, Value)>;

async fn rest(mut stream: EventStream) -> Events {
    let mut all = Vec::new();
    while let Some(event) = stream.next(TASK_TIMEOUT).await {
        let value = event.json();
        all.push((event.id, value));
    }
    all
}

async fn a_task_is_the_same_as_over_json_rpc(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let params = with(message("!progress 2; chunks 2; artifact data"), "/metadata/k", json!(1.0));
    let answer = client.post("/message:send", params.to_string()).await;
    assert_eq!(answer.header("content-type"), "application/a2a+json");
    let sent = task_of(answer.json());
    assert_eq!(state(&sent), "COMPLETED");
    let path = format!("/tasks/{}", id(&sent));
    assert_eq!(got(&client, &path).await, sent);
    assert_eq!(get(&client, &id(&sent)).await, sent);
    let short = got(&client, &format!("{path}?historyLength=1")).await;
    let rpc = client.call("GetTask", json!({"id": sent["id"], "historyLength": 1})).await;
    assert_eq!(short, rpc);
    let other = client.clone().header("accept", "application/json").get(&path).await;
    assert_eq!(other.header("content-type"), "application/json");
    let head = client.ask(Method::HEAD, &path, None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), client.get(&path).await.header("content-length"));
    stack.assert_no_errors_logged();
}

async fn a_send_that_is_repeated_finds_its_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let params = return_immediately(message("!ask"));
    let first = task_of(post(&stack.client(), "/message:send", &params).await);
    let again = task_of(stack.client_at(1).call("SendMessage", params).await);
    assert_eq!(id(&first), id(&again));
}

async fn a_stream_holds_the_events_of_json_rpc(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let params = message("!progress 3; chunks 20; artifact mixed");
    let stream = open(&client, Method::POST, "/message:stream", &params.to_string()).await;
    assert_eq!(stream.headers["cache-control"], "no-cache");
    let events = rest(stream).await;
    let task = id(&events[0].1["task"]);
    let values: Vec<Value> = events.iter().map(|(_, value)| value.clone()).collect();
    let folded = fold(&values);
    let whole = got(&client, &format!("/tasks/{task}")).await;
    assert_eq!((&folded["status"], &folded["artifacts"]), (&whole["status"], &whole["artifacts"]));
    let rpc = client.header("last-event-id", "0");
    let mut rpc = rpc.stream("SubscribeToTask", json!({"id": task})).await;
    assert_eq!(rpc.collect_results(TASK_TIMEOUT).await, events[1..]);
}

async fn a_broken_stream_resumes_on_another_node(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let task = id(&start(&client, "!chunks 400 20 5").await);
    wait_for_parts(&client, &task, 5).await;
    let mut first = subscribe(&stack, 0, &task, Some("0")).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let event = first.next(TASK_TIMEOUT).await.expect("the task still runs");
        seen.push((event.id.clone(), event.json()));
    }
    drop(first);
    let cursor = seen.last().and_then(|(id, _)| id.clone());
    seen.extend(rest(subscribe(&stack, 1, &task, cursor.as_deref()).await).await);
    let chunks: Vec<&str> = seen
        .iter()
        .filter_map(|(_, event)| event["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str())
        .map(|text| &text[..7])
        .collect();
    let wanted: Vec<String> = (1..=400).map(|number| format!("{number:07}")).collect();
    assert_eq!(chunks, wanted, "nothing is missed or seen twice");
    assert_eq!(rest(subscribe(&stack, 1, &task, Some("0")).await).await, seen);
    let ended = client.get(&format!("/tasks/{task}:subscribe")).await;
    assert_eq!(ended.status, 400, "without a cursor there is nothing to subscribe to");
}

async fn a_list_takes_every_filter_from_the_query(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    send(&client, "!fail").await;
    let asking = with(message("!ask"), "/message/contextId", json!("a b+c&d"));
    client.call("SendMessage", asking).await;
    let done = send(&client, "!chunks 2").await;
    let since = done["status"]["timestamp"].as_str().expect("a status has a time");
    let offset = since.replace('Z', "+00:00");
    let mut found = Vec::new();
    for (query, params) in [
        (String::new(), json!({})),
        ("status=TASK_STATE_FAILED".to_owned(), json!({"status": "TASK_STATE_FAILED"})),
        ("status=completed".to_owned(), json!({"status": 3})),
        ("contextId=a%20b%2Bc%26d".to_owned(), json!({"contextId": "a b+c&d"})),
        ("context_id=a+b%2Bc%26d".to_owned(), json!({"contextId": "a b+c&d"})),
        (format!("statusTimestampAfter={since}"), json!({"statusTimestampAfter": since})),
        (format!("statusTimestampAfter={offset}"), json!({"statusTimestampAfter": since})),
        (
            "includeArtifacts=true&historyLength=0".to_owned(),
            json!({"includeArtifacts": true, "historyLength": 0}),
        ),
        ("includeArtifacts=false&historyLength=1".to_owned(), json!({"historyLength": 1})),
        ("status=&contextId=&unknown=1".to_owned(), json!({})),
    ] {
        let page = got(&client, &format!("/tasks?{query}")).await;
        assert_eq!(page, client.call("ListTasks", params).await, "{query}");
        found.push(page["totalSize"].clone());
    }
    assert_eq!(found, [3, 1, 1, 1, 1, 1, 1, 3, 3, 3]);

    let (mut token, mut seen) = (String::new(), Vec::new());
    for _ in 0..3 {
        let page = got(&client, &format!("/tasks?pageSize=1&pageToken={token}")).await;
        seen.push(id(&page["tasks"][0]));
        page["nextPageToken"].as_str().expect("it is always there").clone_into(&mut token);
    }
    let all = got(&client, "/tasks").await;
    let all: Vec<String> = all["tasks"].as_array().expect("it is there").iter().map(id).collect();
    assert_eq!((seen, token.as_str()), (all, ""));
}

async fn a_running_task_is_canceled_once(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.cancel_grace", "20s").start().await;
    let client = stack.client();
    let task = id(&start(&client, "!hang").await);
    wait_for_state(&client, &task, "WORKING").await;
    let path = format!("/tasks/{task}:cancel");
    let canceled = client.post(&path, "").await;
    assert_eq!((canceled.status, state(&canceled.json())), (200, "CANCELED"));
    let again = client.post(&path, "{}").await;
    let error = &again.json()["error"];
    assert_eq!((again.status, &error["status"]), (400, &json!("FAILED_PRECONDITION")));
    assert_eq!(error["details"][0]["reason"], "TASK_NOT_CANCELABLE");
    assert_eq!(error["details"][0]["domain"], "a2a-protocol.org");
}

async fn errors_have_the_status_of_the_specification(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.max_body_bytes", "100000").start().await;
    let client = stack.client();
    let ended = id(&send(&client, "done").await);
    let reply = with(message("more"), "/message/taskId", json!(ended)).to_string();
    let image = json!([{"raw": "AA==", "mediaType": "image/png"}]);
    let image = with(message("x"), "/message/parts", image).to_string();
    let large = message(&"x".repeat(200_000)).to_string();
    let unknown = "018f2f6e-7b7a-7000-8000-000000000001";
    for (method, path, body, status, reason) in [
        ("GET", &*format!("/tasks/{unknown}"), "", 404, "TASK_NOT_FOUND"),
        ("GET", "/tasks/a%2Fb%00", "", 400, "INVALID_PARAMS"),
        ("GET", "/tasks/a%2Fb", "", 404, "TASK_NOT_FOUND"),
        ("POST", &*format!("/tasks/{unknown}:cancel"), "", 404, "TASK_NOT_FOUND"),
        ("POST", &*format!("/tasks/{unknown}:subscribe"), "", 404, "TASK_NOT_FOUND"),
        ("POST", &*format!("/tasks/{ended}:cancel"), "", 400, "TASK_NOT_CANCELABLE"),
        ("POST", &*format!("/tasks/{ended}:subscribe"), "", 400, "UNSUPPORTED_OPERATION"),
        ("POST", "/message:send", &reply, 400, "UNSUPPORTED_OPERATION"),
        ("POST", "/message:send", &image, 400, "CONTENT_TYPE_NOT_SUPPORTED"),
        ("POST", "/message:stream", "{}", 400, "INVALID_PARAMS"),
        ("POST", "/message:send", "{", 400, "PARSE_ERROR"),
        ("POST", "/message:send", &large, 413, "REQUEST_TOO_LARGE"),
        ("GET", "/tasks?pageSize=0", "", 400, "INVALID_PARAMS"),
        ("GET", "/nowhere", "", 404, ""),
        ("PUT", "/tasks", "", 405, ""),
    ] {
        let request = client.request(method.parse().expect("a method"), path);
        let answer = request.body(body.to_owned()).send().await.expect(path);
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/a2a+json");
        let error: Value = answer.json().await.expect("it is JSON");
        assert_eq!(error["error"]["code"], status, "{method} {path}");
        let details = error["error"]["details"][0]["reason"].as_str().unwrap_or_default();
        assert_eq!(details, reason, "{method} {path}");
    }
    for (kind, body, status) in [
        ("application/x-www-form-urlencoded", message("x").to_string(), 200),
        ("application/x-www-form-urlencoded", "message=x".to_owned(), 415),
        ("text/plain", message("x").to_string(), 415),
    ] {
        let request = client.request(Method::POST, "/message:send").header("content-type", kind);
        let answer = request.body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{kind}");
    }
    let old = client.header("a2a-version", "7.0").get("/tasks").await;
    assert_eq!(old.json()["error"]["details"][0]["reason"], "VERSION_NOT_SUPPORTED");
    stack.assert_no_errors_logged();
}

async fn keys_and_scopes_are_required(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read").key("bob", "write").start().await;
    let (alice, bob) = (stack.client(), stack.anonymous().bearer(stack.key(1)));
    let nobody = stack.anonymous().get("/tasks").await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").starts_with("Bearer"), "{:?}", nobody.headers);
    assert_eq!(nobody.json()["error"]["status"], "UNAUTHENTICATED");
    assert_eq!(alice.get("/tasks").await.status, 200);
    let refused = alice.post("/message:send", message("x").to_string()).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["status"].as_str()),
        (403, Some("PERMISSION_DENIED"))
    );
    let task = task_of(post(&bob, "/message:send", &message("x")).await);
    let hidden = alice.get(&format!("/tasks/{}", id(&task))).await;
    assert_eq!(hidden.status, 404, "what belongs to others is not there");
}

async fn agents_are_found_by_address_and_by_tenant(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for root in ["/agents/echo", "/agents/echo/a2a", "/echo", "/agents/echo/echo"] {
        let sent = task_of(post(&client, &format!("{root}/message:send"), &message("!ask")).await);
        assert_eq!(state(&sent), "COMPLETED", "the echo asks nothing");
        assert_eq!(got(&client, &format!("{root}/tasks/{}", id(&sent))).await, sent);
    }
    let asked = task_of(post(&client, "/a2a/message:send", &message("!ask")).await);
    assert_eq!(state(&asked), "INPUT_REQUIRED", "the agent at the root does");
    let nobody = client.post("/nobody/message:send", message("x").to_string()).await;
    assert!((400..500).contains(&nobody.status), "{}", nobody.text());
}

async fn clients_of_0_3_are_served_under_v1(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client().without_header("a2a-version");
    let say = |text: &str, blocking: bool| {
        let mut params = message("");
        let message = params["message"].as_object_mut().expect("it is one");
        message.remove("parts");
        params["request"] = params["message"].take();
        params.as_object_mut().expect("it is one").remove("message");
        let params = with(params, "/request/content", json!([{"text": text}]));
        with(params, "/configuration/blocking", json!(blocking))
    };
    let answer = client.post("/v1/message:send", say("!chunks 2", true).to_string()).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let sent = task_of(answer.json());
    assert_eq!(state(&sent), "COMPLETED");
    assert_eq!(sent["history"][0]["content"][0]["text"], "!chunks 2");
    assert_eq!(got(&client, &format!("/v1/tasks/{}", id(&sent))).await, sent);
    assert_eq!(got(&client, "/v1/tasks").await["totalSize"], 1);

    let params = say("!chunks 3; ask more?", false).to_string();
    let events = rest(open(&client, Method::POST, "/v1/message:stream", &params).await).await;
    let last = &events.last().expect("there are events").1["statusUpdate"];
    assert_eq!(
        (&last["status"]["state"], &last["final"]),
        (&json!("TASK_STATE_INPUT_REQUIRED"), &json!(true))
    );
    let task = id(&events[0].1["task"]);
    let canceled = client.post(&format!("/v1/tasks/{task}:cancel"), "").await.json();
    assert_eq!(canceled["status"]["state"], "TASK_STATE_CANCELLED");

    let missing = client.get("/v1/tasks/nope").await;
    let error = missing.json();
    assert_eq!((missing.status, &error["type"]), (404, &json!("TaskNotFoundError")));
    assert_eq!((&error["code"], &error["error"]["code"]), (&json!(-32001), &json!(404)));
}
