//! Clients of A2A 0.3 and 0.1 over JSON-RPC: the server recognises them by their method names, and
//! the same task can be read in every version.

use longhaul_tests::{
    Client, Mode, StackBuilder, eventually, on_both_modes,
    tasks::{self, TASK_TIMEOUT, id},
    unique,
};
use serde_json::{Value, json};

on_both_modes!(
    a_task_is_the_same_through_every_version,
    a_client_of_0_3_waits_unless_it_says_otherwise,
    a_stream_of_0_3_marks_its_last_event_and_resumes_by_cursor,
    a_subscription_of_0_3_ends_where_the_task_asks,
    a_replay_of_0_3_goes_past_questions_that_were_answered,
    an_authorization_ends_streams_of_0_3_but_not_of_1_0,
    a_client_of_0_1_chooses_the_id_of_its_task,
    a_message_of_0_1_that_is_sent_again_counts_once_in_each_turn,
    a_stream_of_0_1_has_the_artifacts_and_a_final_status,
    many_first_messages_of_one_chosen_id_make_one_task,
    a_chosen_id_may_be_any_uuid_and_belongs_to_one_agent,
    errors_have_the_codes_and_names_of_the_version,
    a_stream_of_0_1_that_goes_on_has_the_places_of_its_artifacts,
    an_id_that_no_task_has_is_not_found,
    an_error_instead_of_a_stream_is_a_stream_of_one_event,
);

/// A client without a version header.
fn unstated(client: Client) -> Client {
    client.without_header("a2a-version")
}

/// Parameters of a send in 0.3.
fn message(text: &str) -> Value {
    let parts = json!([{"kind": "text", "text": text}]);
    json!({"message": {"kind": "message", "messageId": unique::name("m"), "role": "user", "parts": parts}})
}

fn reply_to(task: &str, text: &str) -> Value {
    tasks::with(message(text), "/message/taskId", json!(task))
}

/// Parameters of a send in 0.1.
fn message_0_1(task: &str, text: &str) -> Value {
    json!({"id": task, "message": {"role": "user", "parts": [{"type": "text", "text": text}]}})
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or_else(|| panic!("no state in {task}"))
}

async fn events(client: &Client, method: &str, params: Value) -> Vec<Value> {
    let mut stream = client.stream(method, params).await;
    stream.collect_results(TASK_TIMEOUT).await.into_iter().map(|(_, event)| event).collect()
}

async fn until_parked(client: &Client, task: &str) {
    eventually(TASK_TIMEOUT, "the task asks", async || {
        let task = tasks::get(client, task).await;
        if tasks::state(&task).ends_with("REQUIRED") { Ok(()) } else { Err(task) }
    })
    .await;
}

async fn a_task_is_the_same_through_every_version(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let new = stack.client();
    let old = unstated(stack.client());
    let task = old.call("message/send", message("!chunks 2 10; complete well done")).await;
    assert_eq!((&task["kind"], state(&task)), (&json!("task"), "completed"));
    let same = tasks::get(&new, &id(&task)).await;
    assert_eq!((tasks::state(&same), &same["contextId"]), ("COMPLETED", &task["contextId"]));
    let parts = |task: &Value| tasks::texts(&task["artifacts"][0]["parts"]);
    assert_eq!(parts(&same), parts(&task));
    assert_eq!(old.call("tasks/get", json!({"id": id(&task)})).await, task);
    let tasks = old.call("tasks/list", json!({})).await;
    assert_eq!(tasks["tasks"][0]["id"], task["id"]);
    let path = stack.client().without_header("a2a-version").rpc_path("/agents/script");
    assert_eq!(path.call("tasks/get", json!({"id": id(&task)})).await, task);
    stack.assert_no_errors_logged();
}

async fn a_client_of_0_3_waits_unless_it_says_otherwise(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let asked = old.call("message/send", message("!ask which one?")).await;
    assert_eq!(state(&asked), "input-required");
    let answered = old.call("message/send", reply_to(&id(&asked), "the red one")).await;
    assert_eq!((state(&answered), &answered["id"]), ("completed", &asked["id"]));
    let params = tasks::with(message("!listen 1"), "/configuration/blocking", json!(false));
    let begun = old.call("message/send", params).await;
    assert!(["submitted", "working"].contains(&state(&begun)), "{begun}");
    let canceled = old.call("tasks/cancel", json!({"id": id(&begun)})).await;
    assert_eq!(state(&canceled), "canceled");
}

async fn a_stream_of_0_3_marks_its_last_event_and_resumes_by_cursor(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let old = unstated(stack.client());
    let mut stream = old.stream("message/stream", message("!chunks 5 10; complete done")).await;
    let all = stream.collect_results(TASK_TIMEOUT).await;
    let (first, last) = (&all[0].1, &all.last().expect("there are events").1);
    assert_eq!(first["kind"], "task");
    assert_eq!((&last["kind"], &last["final"]), (&json!("status-update"), &json!(true)));
    let finals = all.iter().filter(|(_, event)| event["final"] == true).count();
    assert_eq!(finals, 1, "only the last event is final");
    let cursor = all[2].0.clone().expect("an event has a cursor");
    let again = unstated(stack.client_at(1)).header("last-event-id", &cursor);
    let mut stream = again.stream("tasks/resubscribe", json!({"id": first["id"]})).await;
    assert_eq!(
        stream.collect_results(TASK_TIMEOUT).await,
        all[3..],
        "everything behind the cursor, once"
    );
}

async fn a_subscription_of_0_3_ends_where_the_task_asks(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let task = old.call("message/send", message("!ask which one?")).await;
    let seen = events(&old, "tasks/resubscribe", json!({"id": task["id"]})).await;
    assert_eq!(seen.len(), 1, "the task as it is: {seen:?}");
    assert_eq!(state(&seen[0]), "input-required");
}

async fn a_replay_of_0_3_goes_past_questions_that_were_answered(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let task = old.call("message/send", message("!ask which one?")).await;
    old.call("message/send", reply_to(&id(&task), "the red one")).await;
    let from = old.header("last-event-id", "0");
    let seen = events(&from, "tasks/resubscribe", json!({"id": task["id"]})).await;
    let states: Vec<&str> = seen.iter().filter_map(|e| e["status"]["state"].as_str()).collect();
    assert!(states.contains(&"input-required"), "{states:?}");
    assert_eq!(states.last(), Some(&"completed"), "{states:?}");
}

async fn an_authorization_ends_streams_of_0_3_but_not_of_1_0(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let seen = events(&unstated(stack.client()), "message/stream", message("!auth")).await;
    let last = seen.last().expect("there are events");
    assert_eq!((state(last), &last["final"]), ("auth-required", &json!(true)));
    let new = stack.client();
    let mut stream = tasks::stream(&new, "!auth").await;
    let (_, first) = stream.next_result(TASK_TIMEOUT).await.expect("a snapshot");
    let task = id(&first["task"]);
    until_parked(&new, &task).await;
    new.call("CancelTask", json!({"id": task})).await;
    let rest = stream.collect_results(TASK_TIMEOUT).await;
    let (_, last) = rest.last().expect("the stream went on to the end");
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_CANCELED");
}

async fn a_client_of_0_1_chooses_the_id_of_its_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let old = unstated(stack.client());
    let name = unique::name("order");
    let asked = old.call("tasks/send", message_0_1(&name, "!ask which one?")).await;
    assert_eq!((&asked["id"], state(&asked)), (&json!(name), "input-required"));
    let other = unstated(stack.client_at(1));
    let answered = other.call("tasks/send", message_0_1(&name, "the red one")).await;
    assert_eq!((&answered["id"], state(&answered)), (&json!(name), "completed"));
    assert_eq!(answered["sessionId"], asked["sessionId"]);
    let got = other.call("tasks/get", json!({"id": name})).await;
    assert_eq!((&got["id"], state(&got)), (&json!(name), "completed"));
    let unknown = old.call_error("tasks/get", json!({"id": unique::name("order")})).await;
    assert_eq!(unknown.code, -32001);
    let begun = unique::name("order");
    let mut stream = old.stream("tasks/sendSubscribe", message_0_1(&begun, "!listen 1")).await;
    stream.next_result(TASK_TIMEOUT).await.expect("a first event");
    let canceled = other.call("tasks/cancel", json!({"id": begun})).await;
    assert_eq!((&canceled["id"], state(&canceled)), (&json!(begun), "canceled"));
    assert!(canceled["history"].is_null(), "history is shown on request only: {canceled}");
}

async fn a_message_of_0_1_that_is_sent_again_counts_once_in_each_turn(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let (running, asking) = (unique::name("order"), unique::name("order"));
    let messages = async |name: &str| {
        let params = json!({"id": name, "historyLength": 100});
        let task = old.call("tasks/get", params).await;
        let history = task["history"].as_array().cloned().unwrap_or_default();
        history.into_iter().filter(|message| message["role"] == "user").count()
    };
    for _ in 0..2 {
        let mut stream =
            old.stream("tasks/sendSubscribe", message_0_1(&running, "!listen 1")).await;
        stream.next_result(TASK_TIMEOUT).await.expect("a first event");
    }
    assert_eq!(messages(&running).await, 1, "the task has not asked meanwhile");
    old.call("tasks/send", message_0_1(&asking, "!ask-until yes")).await;
    old.call("tasks/send", message_0_1(&asking, "no")).await;
    old.call("tasks/send", message_0_1(&asking, "no")).await;
    assert_eq!(messages(&asking).await, 3, "the same words are the answer to the next question");
    for _ in 0..2 {
        let done = old.call("tasks/send", message_0_1(&asking, "yes")).await;
        assert_eq!(state(&done), "completed", "also when it comes again to the ended task");
    }
    assert_eq!(messages(&asking).await, 4);
}

async fn a_stream_of_0_1_has_the_artifacts_and_a_final_status(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let name = unique::name("order");
    let seen =
        events(&old, "tasks/sendSubscribe", message_0_1(&name, "!chunks 3 10; complete done"))
            .await;
    assert!(seen.iter().all(|event| event["id"] == json!(name)), "{seen:?}");
    assert_eq!(seen.iter().filter(|event| event["artifact"].is_object()).count(), 3);
    let last = seen.last().expect("there are events");
    assert_eq!((state(last), &last["final"]), ("completed", &json!(true)));
}

async fn many_first_messages_of_one_chosen_id_make_one_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let name = unique::name("order");
    let ask = |node: usize, text: String| {
        let client = unstated(stack.client_at(node));
        let params = message_0_1(&name, &text);
        async move { client.call("tasks/send", params).await }
    };
    let asked = (0..8).map(|number| ask(number % 2, format!("!ask {number}")));
    let answers = futures::future::join_all(asked).await;
    for answer in &answers {
        assert_eq!(answer["sessionId"], answers[0]["sessionId"], "one conversation");
    }
    let tasks = stack.client().call("ListTasks", json!({})).await;
    assert_eq!(tasks["totalSize"], 1);
}

async fn a_chosen_id_may_be_any_uuid_and_belongs_to_one_agent(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    for version in [4, 7, 8] {
        let own = format!("{:08x}-0000-{version}000-8000-000000000000", std::process::id());
        let task = old.call("tasks/send", message_0_1(&own, "done")).await;
        assert_eq!((&task["id"], state(&task)), (&json!(own), "completed"));
        assert_eq!(old.call("tasks/get", json!({"id": own})).await["id"], json!(own));
    }
    let name = unique::name("order");
    old.call("tasks/send", message_0_1(&name, "done")).await;
    let elsewhere = unstated(stack.client()).rpc_path("/agents/echo");
    let error = elsewhere.call_error("tasks/send", message_0_1(&name, "done")).await;
    assert_eq!((error.code, error.message.contains("script")), (-32602, true), "{error:?}");
}

async fn errors_have_the_codes_and_names_of_the_version(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let task = old.call("message/send", message("done")).await;
    let error = old.call_error("tasks/cancel", json!({"id": task["id"]})).await;
    assert_eq!(error.code, -32002);
    let push =
        json!({"taskId": task["id"], "pushNotificationConfig": {"url": "http://127.0.0.1:9"}});
    assert_eq!(old.call_error("tasks/pushNotificationConfig/set", push).await.code, -32003);
    let error = old.call_error("message/send", reply_to(&id(&task), "more")).await;
    assert_eq!(error.code, -32004);
    let error = old.call_error("message/send", json!({"message": {"role": "user"}})).await;
    assert_eq!(error.code, -32602);
    let error = old.call_error("message/nothing", json!({})).await;
    assert_eq!(error.code, -32601);
    let error = old.call_error("agent/getAuthenticatedExtendedCard", json!({})).await;
    assert_eq!(error.code, -32007);
    let error = old.call_error("tasks/list", json!({"status": "unknown"})).await;
    assert_eq!(error.code, -32602);
    let stated = stack.client().header("a2a-version", "0.2");
    let error = stated.call_error("message/send", message("x")).await;
    assert_eq!(error.code, -32009);
    assert!(error.message.contains("0.3"), "it names what is served: {}", error.message);
}

async fn a_stream_of_0_1_that_goes_on_has_the_places_of_its_artifacts(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let name = unique::name("order");
    let script = message_0_1(&name, "!artifact text; artifact data; artifact raw");
    let mut stream = unstated(stack.client()).stream("tasks/sendSubscribe", script).await;
    let all = stream.collect_results(TASK_TIMEOUT).await;
    let places = |events: &[(Option<String>, Value)]| -> Vec<u64> {
        events.iter().filter_map(|(_, event)| event["artifact"]["index"].as_u64()).collect()
    };
    assert_eq!(places(&all), [0, 1, 2]);
    for (index, (cursor, _)) in all.iter().enumerate() {
        let cursor = cursor.as_deref().expect("an event has a cursor");
        let again = unstated(stack.client_at(1)).header("last-event-id", cursor);
        let mut stream = again.stream("tasks/resubscribe", json!({"id": name})).await;
        let rest = stream.collect_results(TASK_TIMEOUT).await;
        assert_eq!(rest, all[index + 1..], "what follows is the same as it was, behind {cursor}");
    }
}

async fn an_id_that_no_task_has_is_not_found(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let old = unstated(stack.client());
    let first = stack.client().header("a2a-version", "0.1");
    for task in ["order-7".to_owned(), "x".repeat(300), unique::name("m")] {
        for method in ["tasks/get", "tasks/cancel", "tasks/resubscribe"] {
            let error = old.call_error(method, json!({"id": task})).await;
            assert_eq!(error.code, -32001, "{method} {task}");
            assert!(error.data.is_array(), "as 0.3 has it: {}", error.data);
            let error = first.call_error(method, json!({"id": task})).await;
            assert_eq!(error.code, -32001, "{method} {task}");
            assert!(error.data.is_object(), "as 0.1 has it: {}", error.data);
        }
    }
    let error = old.call_error("tasks/send", message_0_1(&"x".repeat(300), "hi")).await;
    assert_eq!(error.code, -32602, "an id that cannot be kept");
}

async fn an_error_instead_of_a_stream_is_a_stream_of_one_event(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": {}});
    let request = unstated(stack.client()).request(reqwest::Method::POST, "/");
    let request = request.header("accept", "text/event-stream").body(body.to_string());
    let answer = request.send().await.expect("an answer");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    let text = answer.text().await.expect("a body");
    assert!(text.starts_with("data: {") && text.contains("-32602"), "{text}");
}
