//! Accepted output modes reach the executor of the message, in every version of the protocol.

use longhaul_tests::tasks::{id, message, reply_to, task_of, texts, violations, with};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes, paths, unique};
use serde_json::{Value, json};

on_both_modes! {
    a_program_hears_with_each_message_what_its_client_can_take,
    output_modes_of_older_clients_arrive_alike,
    more_media_types_than_anybody_needs_are_refused,
}

/// A stack with an agent that reports its client's accepted output modes.
async fn modes(mode: Mode) -> Stack {
    let script = paths::workspace().join("tests/tests/plugins/modes.py");
    let command = json!([paths::python(), script]);
    let agent =
        format!("name = \"modes\"\nexecutor = \"process\"\n\n[agent.process]\ncommand = {command}");
    StackBuilder::new(mode).agent(&agent).start().await
}

fn at(stack: &Stack) -> Client {
    stack.client().rpc_path("/agents/modes")
}

/// Text of the agent's status message.
fn status_text(task: &Value) -> String {
    texts(&task["status"]["message"]["parts"]).concat()
}

fn taking(params: Value, modes: &[&str]) -> Value {
    with(params, "/configuration/acceptedOutputModes", json!(modes))
}

/// Output modes stored for the first message of a task.
fn stored_output_modes(stack: &Stack, task: &str) -> String {
    stack.database().sql(&format!(
        "select body ->> 'acceptedOutputModes' from task_history where task_id = '{task}' and seq = 1"
    ))
}

async fn a_program_hears_with_each_message_what_its_client_can_take(mode: Mode) {
    let stack = modes(mode).await;
    let client = at(&stack);
    let asking = taking(message("hello"), &["text/plain", "image/*"]);
    let task = task_of(client.call("SendMessage", asking.clone()).await);
    assert_eq!(status_text(&task), "text/plain image/*");
    if mode == Mode::Distributed {
        assert_eq!(stored_output_modes(&stack, &id(&task)), r#"["text/plain","image/*"]"#);
    }
    // A repeated message is a duplicate, whatever its client accepts now.
    let again = taking(asking, &["audio/wav"]);
    assert_eq!(task_of(client.call("SendMessage", again).await)["id"], task["id"]);
    let answered = client.call("SendMessage", reply_to(&id(&task), "go on")).await;
    assert_eq!(status_text(&task_of(answered)), "anything");
}

async fn output_modes_of_older_clients_arrive_alike(mode: Mode) {
    let stack = modes(mode).await;
    let client = at(&stack).without_header("a2a-version");
    let parts = json!([{"kind": "text", "text": "hello"}]);
    let message =
        json!({"kind": "message", "messageId": unique::name("m"), "role": "user", "parts": parts});
    let asking = taking(json!({ "message": message }), &["text/markdown"]);
    assert_eq!(status_text(&client.call("message/send", asking).await), "text/markdown");

    let message = json!({"role": "user", "parts": [{"type": "text", "text": "hello"}]});
    let task = unique::name("task");
    let asking = json!({"id": task, "message": message, "acceptedOutputModes": ["text"]});
    assert_eq!(status_text(&client.call("tasks/send", asking).await), "text");
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
