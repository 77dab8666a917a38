//! Operations of A2A 1.0 over JSON-RPC, as clients see them, in both modes.

use futures::future::join_all;
use longhaul_tests::tasks::{
    self, artifact_texts, get, id, message, return_immediately, send, start, state, task_of, texts,
    wait_for_state, with,
};
use longhaul_tests::{Client, Mode, StackBuilder, on_both_modes, unique};
use serde_json::{Value, json};

on_both_modes!(
    a_waiting_send_answers_with_the_finished_task,
    a_send_that_returns_immediately_names_a_task_that_goes_on,
    a_task_shows_as_much_history_as_is_asked_for,
    every_end_of_an_executor_is_a_state_of_its_task,
    the_same_message_again_finds_the_same_task,
    twenty_copies_of_a_message_at_once_make_one_task,
    a_context_of_the_client_is_kept,
    json_rpc_is_served_at_every_address_that_clients_use,
    the_version_is_negotiated_by_header_and_query,
    a_call_is_answered_under_its_own_id,
    health_and_readiness_are_reported,
);

async fn a_waiting_send_answers_with_the_finished_task(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let params = message("hello");
    let task = task_of(client.call("SendMessage", params.clone()).await);
    assert_eq!(state(&task), "COMPLETED");
    assert_eq!(artifact_texts(&task), ["hello"]);
    assert_eq!(task["history"][0]["messageId"], params["message"]["messageId"]);
    assert_eq!(task["history"][0]["taskId"], task["id"]);
    assert_eq!(task["history"][0]["contextId"], task["contextId"]);
    assert_eq!(get(&client, &id(&task)).await, task);
    stack.assert_no_errors_logged();
}

async fn a_send_that_returns_immediately_names_a_task_that_goes_on(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = start(&client, "!listen 1").await;
    assert!(["SUBMITTED", "WORKING"].contains(&state(&task)), "{task}");
    wait_for_state(&client, &id(&task), "WORKING").await;
    client.call("SendMessage", return_immediately(tasks::reply_to(&id(&task), "go on"))).await;
    let task = wait_for_state(&client, &id(&task), "COMPLETED").await;
    assert!(task.to_string().contains("heard: go on"), "{task}");
}

async fn a_task_shows_as_much_history_as_is_asked_for(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = send(&client, "!progress 3; complete done").await;
    let said = |task: &Value| -> Vec<String> {
        let history = task["history"].as_array().cloned().unwrap_or_default();
        history.iter().flat_map(|message| texts(&message["parts"])).collect()
    };
    let all = ["!progress 3; complete done", "step 1 of 3", "step 2 of 3", "step 3 of 3"];
    for (asked, wanted) in [
        (json!({}), &all[..]),
        (json!({"historyLength": 0}), &[]),
        (json!({"historyLength": 1}), &all[3..]),
        (json!({"historyLength": 2}), &all[2..]),
        (json!({"historyLength": 100}), &all[..]),
        (json!({"historyLength": null}), &all[..]),
        (json!({"historyLength": "2"}), &all[2..]),
    ] {
        let params = with(asked.clone(), "/id", task["id"].clone());
        let shown = client.call("GetTask", params).await;
        assert_eq!(said(&shown), wanted, "with {asked}");
        assert_eq!(texts(&shown["status"]["message"]["parts"]), ["done"]);
    }
    let params = with(message("!progress 3"), "/configuration/historyLength", json!(1));
    let task = task_of(client.call("SendMessage", params).await);
    assert_eq!(said(&task), ["step 3 of 3"]);
}

async fn every_end_of_an_executor_is_a_state_of_its_task(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for (text, wanted, says) in [
        ("!complete all good", "COMPLETED", "all good"),
        ("!fail no luck", "FAILED", "no luck"),
        ("!reject not mine", "REJECTED", "not mine"),
        ("!cancel enough", "CANCELED", "enough"),
        ("!ask which one?", "INPUT_REQUIRED", "which one?"),
        ("!auth log in", "AUTH_REQUIRED", "log in"),
        ("!dance", "REJECTED", "unknown script command"),
        ("!direct hello", "FAILED", "not registered as `direct`"),
    ] {
        let task = send(&client, text).await;
        assert_eq!(state(&task), wanted, "{text}: {task}");
        assert_eq!(task["status"]["message"]["role"], "ROLE_AGENT");
        let said = texts(&task["status"]["message"]["parts"]).concat();
        assert!(said.contains(says), "{text}: {said}");
    }
}

async fn the_same_message_again_finds_the_same_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let params = message("!listen 1");
    let task = task_of(client.call("SendMessage", return_immediately(params.clone())).await);
    wait_for_state(&client, &id(&task), "WORKING").await;
    let again = stack.client_at(1).call("SendMessage", return_immediately(params.clone())).await;
    assert_eq!(again["task"]["id"], task["id"]);
    client.call("SendMessage", return_immediately(tasks::reply_to(&id(&task), "end"))).await;
    wait_for_state(&client, &id(&task), "COMPLETED").await;

    let ended = task_of(client.call("SendMessage", params.clone()).await);
    assert_eq!((&ended["id"], state(&ended)), (&task["id"], "COMPLETED"));
    assert_eq!(
        ended["history"].as_array().map(Vec::len),
        get(&client, &id(&task)).await["history"].as_array().map(Vec::len)
    );

    let other = with(params, "/message/parts", json!([{"text": "something else"}]));
    let other = task_of(client.call("SendMessage", other).await);
    assert_ne!(other["id"], task["id"], "the same id with other content is another message");
}

async fn twenty_copies_of_a_message_at_once_make_one_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let params = message("copied");
    let copies = join_all((0..20).map(|n| {
        let (client, params) = (stack.client_at(n), params.clone());
        async move { task_of(client.call("SendMessage", params).await) }
    }))
    .await;
    for copy in &copies {
        assert_eq!(copy["id"], copies[0]["id"]);
        assert_eq!((state(copy), artifact_texts(copy)), ("COMPLETED", vec!["copied".to_owned()]));
    }
    let list = stack.client().call("ListTasks", json!({})).await;
    assert_eq!(list["totalSize"], 1);
    stack.assert_no_errors_logged();
}

async fn a_context_of_the_client_is_kept(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let context = unique::name("conversation");
    for _ in 0..2 {
        let params = with(message("hi"), "/message/contextId", json!(context));
        assert_eq!(task_of(client.call("SendMessage", params).await)["contextId"], json!(context));
    }
    let (one, two) = (send(&client, "hi").await, send(&client, "hi").await);
    assert_ne!(one["contextId"], two["contextId"], "each gets a context of its own");
    let list = client.call("ListTasks", json!({"contextId": context})).await;
    assert_eq!(list["totalSize"], 2);
}

async fn json_rpc_is_served_at_every_address_that_clients_use(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    for path in
        ["/", "/a2a", "/a2a/", "/agents/script", "/agents/script/", "/agents/script/a2a", "/?x=1"]
    {
        let task = send(&stack.client().rpc_path(path), "hello").await;
        assert_eq!(state(&task), "COMPLETED", "at {path}");
    }
    let answer = stack.client().get("/nowhere").await;
    assert_eq!(answer.status, 404);
    assert_eq!(stack.client().get("/a2a").await.status, 405);
}

async fn the_version_is_negotiated_by_header_and_query(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let silent = stack.client().without_header("a2a-version");
    for client in [
        silent.clone(),
        silent.clone().header("a2a-version", ""),
        silent.clone().header("a2a-version", "1.0"),
        silent.clone().header("a2a-version", "1.0.7"),
        silent.clone().header("A2A-Version", " 1.0 "),
        silent.clone().rpc_path("/?A2A-Version=1.0"),
        silent.clone().rpc_path("/?a=b&a2a-version=1.0.3"),
    ] {
        assert_eq!(state(&send(&client, "hello").await), "COMPLETED", "{client:?}");
    }
    let unknown = |client: Client, asked: &'static str| async move {
        let error = client.call_error("SendMessage", message("hello")).await;
        assert_eq!(error.code, -32009, "{error:?}");
        assert!(error.message.contains("1.0"), "it names what is supported: {error:?}");
        assert_eq!(error.data[0]["reason"], "VERSION_NOT_SUPPORTED");
        assert_eq!(error.data[0]["domain"], "a2a-protocol.org");
        assert_eq!(error.data[0]["metadata"]["version"], asked);
    };
    for asked in ["0.2", "2.0", "1.1", "nonsense", "1"] {
        unknown(silent.clone().header("a2a-version", asked), asked).await;
    }
    unknown(silent.clone().rpc_path("/?A2A-Version=0.2"), "0.2").await;
    for old in [silent.clone().header("a2a-version", "0.3"), silent.rpc_path("/?A2A-Version=0.3")] {
        let error = old.call_error("SendMessage", message("hello")).await;
        assert_eq!(error.code, -32601, "0.3 has no such name: {error:?}");
    }
}

async fn a_call_is_answered_under_its_own_id(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    for id in [json!(7), json!("seven"), json!(null), json!(-3), json!(9_007_199_254_740_993_i64)] {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "ListTasks"});
        let answer = stack.client().post("/", body.to_string()).await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &id));
        assert!(answer.json()["result"]["tasks"].is_array());
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let answer = stack.client().header("x-request-id", "mine-1").get("/nowhere").await;
    assert_eq!(answer.status, 404);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}).to_string();
    let answer = stack.client().header("x-request-id", "mine-1").post("/", body).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
}

async fn health_and_readiness_are_reported(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    assert_eq!(stack.client().get("/healthz").await.status, 200);
    let ready = stack.client().get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    let components = ready.json()["components"].as_object().cloned().unwrap_or_default();
    assert_eq!(components["store"]["ok"], true);
    for worker in stack.workers() {
        let ready = Client::new(&worker.base()).get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    }
}
