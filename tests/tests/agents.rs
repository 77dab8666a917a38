//! Several agents in one deployment, their cards, and agents that answer with a message.

use longhaul_tests::tasks::{
    TASK_TIMEOUT, artifact_texts, get, id, message, return_immediately, send, state, stream,
    task_of, texts, wait_for_state, with,
};
use longhaul_tests::{Client, Mode, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    a_card_says_what_is_registered_and_where,
    a_card_that_the_client_has_is_not_sent_again,
    every_agent_has_an_address_and_a_tenant_of_its_own,
    an_agent_that_does_not_exist_is_refused,
    a_task_is_found_at_its_own_agents_address_only,
    a_direct_agent_answers_with_a_message,
    a_direct_agents_stream_holds_the_message_alone,
    a_direct_agent_asked_to_return_immediately_returns_a_task,
    a_slow_direct_agent_returns_a_task,
    without_a_default_several_agents_must_be_named,
    media_types_that_no_skill_reads_are_refused,
);

async fn card(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

async fn a_card_says_what_is_registered_and_where(mode: Mode) {
    let stack = StackBuilder::new(mode)
        .agent(
            r#"name = "named"
executor = "echo"
description = "Says it again"
version = "2.3.4"
output_modes = ["text/html"]
[[agent.skill]]
id = "again"
name = "Again"
tags = ["echo"]
examples = ["hello"]"#,
        )
        .start()
        .await;
    let client = stack.client();
    let root = card(&client, "/.well-known/agent-card.json").await;
    assert_eq!(root, card(&client, "/.well-known/agent.json").await);
    assert_eq!(root["name"], "script");
    let interfaces = root["supportedInterfaces"].as_array().expect("a 1.0 card has interfaces");
    assert_eq!(interfaces[0]["protocolBinding"], "JSONRPC");
    assert_eq!(interfaces[0]["protocolVersion"], "1.0");
    assert_eq!(root["capabilities"]["streaming"], true);
    assert_ne!(root["capabilities"]["pushNotifications"], true);

    let named = card(&client, "/agents/named/.well-known/agent-card.json").await;
    assert_eq!(named["name"], "named");
    assert_eq!(named["description"], "Says it again");
    assert_eq!(named["version"], "2.3.4");
    assert_eq!(named["defaultOutputModes"], json!(["text/html"]));
    assert_eq!(named["skills"][0]["id"], "again");
    assert_eq!(named["skills"][0]["examples"], json!(["hello"]));

    for card in [root, named] {
        let url = card["supportedInterfaces"][0]["url"].as_str().expect("an interface has a URL");
        let path = url.strip_prefix(&stack.base()).unwrap_or_else(|| panic!("{url} is elsewhere"));
        assert_eq!(state(&send(&client.clone().rpc_path(path), "hello").await), "COMPLETED");
    }
}

async fn a_card_that_the_client_has_is_not_sent_again(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    for path in ["/.well-known/agent-card.json", "/agents/echo/.well-known/agent-card.json"] {
        let first = stack.client().get(path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        assert!(first.header("cache-control").contains("max-age"));
        let again = stack.client().header("if-none-match", &tag).get(path).await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), tag);
        let other = stack.client().header("if-none-match", "\"other\"").get(path).await;
        assert_eq!((other.status, other.body), (200, first.body));
    }
}

async fn every_agent_has_an_address_and_a_tenant_of_its_own(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    // The echo returns a command that the script would follow.
    let by_address = send(&client.clone().rpc_path("/agents/echo"), "!fail").await;
    assert_eq!(artifact_texts(&by_address), ["!fail"]);
    let by_tenant =
        client.call("SendMessage", with(message("!fail"), "/tenant", json!("echo"))).await;
    assert_eq!(artifact_texts(&by_tenant["task"]), ["!fail"]);
    assert_eq!(state(&send(&client, "!fail").await), "FAILED");
    let listed = client.call("ListTasks", json!({"tenant": "echo"})).await;
    assert_eq!(listed["totalSize"], 2);
    assert_eq!(client.call("ListTasks", json!({})).await["totalSize"], 3);
    let both = with(message("x"), "/tenant", json!("script"));
    let error = client.rpc_path("/agents/echo").call_error("SendMessage", both).await;
    assert_eq!(error.code, -32602);
}

async fn an_agent_that_does_not_exist_is_refused(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let error =
        client.clone().rpc_path("/agents/nobody").call_error("SendMessage", message("x")).await;
    assert_eq!(error.code, -32004, "{error:?}");
    assert!(error.message.contains("nobody"), "{error:?}");
    let params = with(message("x"), "/tenant", json!("nobody"));
    assert_eq!(client.call_error("SendMessage", params).await.code, -32004);
    let params = with(message("x"), "/tenant", json!("No Name!"));
    assert_eq!(client.call_error("SendMessage", params).await.code, -32602);
    for path in ["/agents/nobody", "/agents/No%20Name"] {
        let answer = client.get(&format!("{path}/.well-known/agent-card.json")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}).to_string();
    let answer = client.post("/agents/No%20Name", body).await;
    assert_eq!(answer.json()["error"]["code"], -32600, "{}", answer.text());
}

async fn a_task_is_found_at_its_own_agents_address_only(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let echo = client.clone().rpc_path("/agents/echo");
    let task = send(&client, "!ask").await;
    let own = client.clone().rpc_path("/agents/script");
    assert_eq!(get(&own, &id(&task)).await["id"], task["id"]);
    for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
        let error = echo.call_error(method, json!({"id": task["id"]})).await;
        assert_eq!(error.code, -32001, "{method}");
    }
    let answer = longhaul_tests::tasks::reply_to(&id(&task), "yes");
    assert_eq!(echo.call_error("SendMessage", answer).await.code, -32001);
    assert_eq!(state(&get(&client, &id(&task)).await), "INPUT_REQUIRED");
}

async fn a_direct_agent_answers_with_a_message(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client().rpc_path("/agents/direct");
    let params = message("!direct hello you");
    let answer = client.call("SendMessage", params.clone()).await;
    assert_eq!(texts(&answer["message"]["parts"]), ["hello you"]);
    assert_eq!(answer["message"]["role"], "ROLE_AGENT");
    assert!(answer.get("task").is_none());
    // The result is stored, and a repeated message finds it.
    let listed = client.call("ListTasks", json!({})).await;
    assert_eq!(listed["totalSize"], 1);
    assert_eq!(state(&listed["tasks"][0]), "COMPLETED");
    let again = client.call("SendMessage", params).await;
    assert_eq!(again["message"]["messageId"], answer["message"]["messageId"]);
    let task = task_of(client.call("SendMessage", message("!chunks 2")).await);
    assert_eq!(state(&task), "COMPLETED", "what takes a task gets one");
}

async fn a_direct_agents_stream_holds_the_message_alone(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client().rpc_path("/agents/direct");
    let events = stream(&client, "!direct hi").await.collect_results(TASK_TIMEOUT).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(texts(&events[0].1["message"]["parts"]), ["hi"]);
    let events = stream(&client, "!chunks 3").await.collect_results(TASK_TIMEOUT).await;
    assert!(events[0].1["task"].is_object(), "{events:?}");
    let last = &events.last().expect("a stream has events").1;
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
}

async fn a_direct_agent_asked_to_return_immediately_returns_a_task(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client().rpc_path("/agents/direct");
    let task =
        task_of(client.call("SendMessage", return_immediately(message("!direct later"))).await);
    let task = wait_for_state(&client, &id(&task), "COMPLETED").await;
    assert_eq!(texts(&task["status"]["message"]["parts"]), ["later"]);
}

async fn a_slow_direct_agent_returns_a_task(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client().rpc_path("/agents/direct");
    let task = send(&client, "!wait 3000; direct too late").await;
    assert_eq!(state(&task), "COMPLETED");
    assert_eq!(texts(&task["status"]["message"]["parts"]), ["too late"]);
}

async fn without_a_default_several_agents_must_be_named(mode: Mode) {
    let two = "[[agent]]\nname = \"one\"\nexecutor = \"echo\"\n\n[[agent]]\nname = \"two\"\nexecutor = \"echo\"\n";
    let stack = StackBuilder::new(mode).config(two).start().await;
    let client = stack.client();
    for name in ["one", "two"] {
        let task = send(&client.clone().rpc_path(&format!("/agents/{name}")), "hello").await;
        assert_eq!(state(&task), "COMPLETED");
    }
    // Embedded, the first configured agent is the default.
    if mode == Mode::Embedded {
        assert_eq!(state(&send(&client, "hello").await), "COMPLETED");
        assert_eq!(card(&client, "/.well-known/agent-card.json").await["name"], "one");
        return;
    }
    let error = client.call_error("SendMessage", message("x")).await;
    assert_eq!(error.code, -32004);
    assert!(error.message.contains("one, two"), "{error:?}");
    let answer = client.get("/.well-known/agent-card.json").await;
    assert_eq!((answer.status, &answer.json()["agents"]), (404, &json!(["one", "two"])));
}

async fn media_types_that_no_skill_reads_are_refused(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let send = |part: Value| {
        let params = longhaul_tests::tasks::message_of(json!([part]));
        let client = client.clone();
        async move { client.try_call("SendMessage", params).await }
    };
    for refused in [
        json!({"raw": "aGk=", "mediaType": "image/png"}),
        json!({"data": {"any": 1}, "mediaType": "image/png"}),
        json!({"text": "x", "mediaType": "text/markdown"}),
    ] {
        let error = send(refused).await.expect_err("nobody reads it");
        assert_eq!(error.code, -32005);
        assert_eq!(error.data[0]["reason"], "CONTENT_TYPE_NOT_SUPPORTED");
        assert!(error.message.contains("text/plain"), "{error:?}");
    }
    for taken in [
        json!({"raw": "aGk=", "mediaType": "application/pdf"}),
        json!({"url": "https://example.com/x", "mediaType": "TEXT/plain; charset=utf-8"}),
        json!({"raw": "aGk="}),
        json!({"data": {"any": 1}}),
        json!({"text": "x"}),
        json!({"text": "x", "mediaType": ""}),
        json!({"text": "x", "mediaType": "text/plain"}),
    ] {
        let task = task_of(send(taken.clone()).await.unwrap_or_else(|e| panic!("{taken}: {e:?}")));
        assert_eq!(state(&task), "COMPLETED");
    }
}
