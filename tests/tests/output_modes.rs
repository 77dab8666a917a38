//! What a client can take in answer reaches the executor of its message, in every version of the protocol.

use longhaul_tests::talk::{id, message, reply_to, task_of, texts, violations, with};
use longhaul_tests::{Client, Mode, Setup, Stack, on_both_modes, paths, unique};
use serde_json::{Value, json};

on_both_modes! {
    a_program_hears_with_each_message_what_its_client_can_take,
    clients_of_older_versions_are_heard_alike,
    more_media_types_than_anybody_needs_are_refused,
}

/// A stack with an agent that says what its client can take.
async fn modes(mode: Mode) -> Stack {
    let script = paths::workspace().join("tests/tests/plugins/modes.py");
    let command = json!([paths::python(), script]);
    let agent =
        format!("name = \"modes\"\nexecutor = \"process\"\n\n[agent.process]\ncommand = {command}");
    Setup::new(mode).agent(&agent).start().await
}

fn at(stack: &Stack) -> Client {
    stack.client().rpc_path("/agents/modes")
}

/// What the agent says in the status of its task.
fn said(task: &Value) -> String {
    texts(&task["status"]["message"]["parts"]).concat()
}

fn taking(params: Value, modes: &[&str]) -> Value {
    with(params, "/configuration/acceptedOutputModes", json!(modes))
}

/// What history in SQL has of it for the first message of a task.
fn kept(stack: &Stack, task: &str) -> String {
    stack.database().sql(&format!(
        "select body ->> 'acceptedOutputModes' from task_history where task_id = '{task}' and seq = 1"
    ))
}

async fn a_program_hears_with_each_message_what_its_client_can_take(mode: Mode) {
    let stack = modes(mode).await;
    let client = at(&stack);
    let asking = taking(message("hello"), &["text/plain", "image/*"]);
    let task = task_of(client.call("SendMessage", asking.clone()).await);
    assert_eq!(said(&task), "text/plain image/*");
    if mode == Mode::Distributed {
        assert_eq!(kept(&stack, &id(&task)), r#"["text/plain","image/*"]"#);
    }
    // The same message is the same, whatever its client can take now.
    let again = taking(asking, &["audio/wav"]);
    assert_eq!(task_of(client.call("SendMessage", again).await)["id"], task["id"]);
    let answered = client.call("SendMessage", reply_to(&id(&task), "go on")).await;
    assert_eq!(said(&task_of(answered)), "anything");
}

async fn clients_of_older_versions_are_heard_alike(mode: Mode) {
    let stack = modes(mode).await;
    let client = at(&stack).without_header("a2a-version");
    let parts = json!([{"kind": "text", "text": "hello"}]);
    let message =
        json!({"kind": "message", "messageId": unique::name("m"), "role": "user", "parts": parts});
    let asking = taking(json!({ "message": message }), &["text/markdown"]);
    assert_eq!(said(&client.call("message/send", asking).await), "text/markdown");

    let message = json!({"role": "user", "parts": [{"type": "text", "text": "hello"}]});
    let task = unique::name("task");
    let asking = json!({"id": task, "message": message, "acceptedOutputModes": ["text"]});
    assert_eq!(said(&client.call("tasks/send", asking).await), "text");
}

async fn more_media_types_than_anybody_needs_are_refused(mode: Mode) {
    let stack = modes(mode).await;
    for method in ["SendMessage", "SendStreamingMessage"] {
        let asking = taking(message("hello"), &["text/plain"; 101]);
        let error = at(&stack).call_error(method, asking).await;
        assert_eq!(error.code, -32602, "{error:?}");
        assert_eq!(violations(&error.data), ["configuration.acceptedOutputModes"]);
    }
}
