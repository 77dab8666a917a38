//! Inputs of the benchmarks, with the size and shape of real traffic.

use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, HistoryItem, JsonObject, Message,
    MessageId, OwnerId, Part, Role, Seq, Task, TaskId, TaskKey, TaskState, Timestamp,
    log::StatusChange,
};
use longhaul_wire::{
    ArtifactEvent, SendRequest, StatusEvent, StreamEvent, TaskRef,
    jsonrpc::{RpcId, write_result},
};
use serde::Serialize;
use uuid::Uuid;

/// Text with occasional characters that JSON escapes.
const WORDS: &str = "The quick \"brown\" fox\njumps over the lazy dog, and grüßt it. ";

fn words(length: usize) -> String {
    WORDS.chars().cycle().take(length).collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

pub fn task_id() -> TaskId {
    TaskId::new(Uuid::from_u128(0x018f_2f6e_7b7a_7000_8000_0000_0000_0001))
}

fn context() -> ContextId {
    ContextId::from(Uuid::from_u128(0x018f_2f6e_7b7a_7000_8000_0000_0000_0002))
}

fn message_id(number: u128) -> MessageId {
    MessageId::from(Uuid::from_u128(0x018f_2f6e_7b7a_7000_8000_0001_0000_0000 + number))
}

fn time() -> Timestamp {
    "2026-02-03T04:05:06.007Z".parse().expect("a time")
}

fn send(message: &str) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","id":17,"method":"SendMessage","params":{{"message":{message}}}}}"#
    )
    .into_bytes()
}

fn call(parts: &str, metadata: &str) -> Vec<u8> {
    send(&format!(
        r#"{{"messageId":"{}","role":"ROLE_USER","parts":[{parts}],"metadata":{metadata}}}"#,
        message_id(1)
    ))
}

/// Call with one short text.
pub fn small_call() -> Vec<u8> {
    send(&format!(
        r#"{{"messageId":"{}","role":"ROLE_USER","parts":[{{"text":"hello"}}]}}"#,
        message_id(1)
    ))
}

/// Call with many parts, metadata on each, and the whitespace of a pretty printer.
pub fn large_call() -> Vec<u8> {
    let part = |number: usize| {
        let text = json(&words(600));
        format!(
            "{{ \"text\": {text},\n  \"mediaType\": \"text/plain\",\n  \"metadata\": {{ \"page\": {number}, \"tags\": [\"a\", \"b\"], \"score\": 1.0 }} }}"
        )
    };
    let parts: Vec<String> = (0..85).map(part).collect();
    let members: Vec<String> = (0..100).map(|n| format!("\"key_{n}\": {{ \"n\": {n} }}")).collect();
    call(&parts.join(",\n"), &format!("{{ {} }}", members.join(", ")))
}

/// Call with one long text.
pub fn text_call(length: usize) -> Vec<u8> {
    call(&format!(r#"{{"text":{}}}"#, json(&words(length))), "{}")
}

/// Call with metadata at the depth limit, repeated.
pub fn nested_call(length: usize) -> Vec<u8> {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(30), "]}".repeat(30));
    let members: Vec<String> =
        (0..length / deep.len()).map(|n| format!("\"key{n}\":{deep}")).collect();
    call(r#"{"text":"hello"}"#, &format!("{{{}}}", members.join(",")))
}

/// Call with three violations.
pub fn wrong_call() -> Vec<u8> {
    send(r#"{"role":"nobody","parts":[{"text":7},{"text":"a","url":"b"}]}"#)
}

/// Request of a client.
pub fn request() -> SendRequest {
    SendRequest {
        tenant: None,
        message: Message::new(message_id(1), Role::User, vec![Part::text("hello")]),
        target: Some(TaskRef::Known(task_id())),
        return_immediately: true,
        history_length: Some(10),
        accepted_output_modes: Vec::new(),
        push_config: None,
        metadata: None,
    }
}

/// Response with the given result.
pub fn answer(result: &impl Serialize) -> Vec<u8> {
    write_result(&RpcId::number(7), result).expect("no blob")
}

/// Status event: progress with a message.
pub fn status_event() -> StreamEvent {
    let said = Message::new(message_id(2), Role::Agent, vec![Part::text(words(60))]);
    StreamEvent::Status(StatusEvent {
        task: task_id(),
        context: context(),
        change: StatusChange {
            metadata: JsonObject::parse(r#"{"progress":0.5}"#).ok(),
            ..StatusChange::with(TaskState::Working, Some(said))
        },
        at: time(),
    })
}

/// Artifact chunk with a text of `length` characters.
pub fn chunk_event(length: usize) -> StreamEvent {
    event(Part::text(words(length)))
}

/// Artifact chunk with `length` bytes.
pub fn bytes_event(length: usize) -> StreamEvent {
    let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
    event(Part::raw(bytes, "application/octet-stream"))
}

fn event(part: Part) -> StreamEvent {
    let artifact = Artifact::new(ArtifactId::new("text").expect("an id"), vec![part]);
    let update =
        ArtifactUpdate { append: true, last_chunk: false, ..ArtifactUpdate::complete(artifact) };
    StreamEvent::Artifact(ArtifactEvent { task: task_id(), context: context(), update })
}

/// Task with 100 messages and 20 artifacts.
pub fn task() -> Task {
    let key = TaskKey { owner: OwnerId::LOCAL, task: task_id() };
    let mut task = Task::begin(key, AgentName::new("echo").expect("a name"), context(), time());
    task.history = (0..100).map(history_item).collect();
    task.artifacts = (0..20).map(artifact).collect();
    task.metadata = JsonObject::parse(r#"{"attempt":1}"#).ok();
    task
}

fn history_item(number: i64) -> HistoryItem {
    let role = if number % 2 == 0 { Role::User } else { Role::Agent };
    let id = message_id(number.unsigned_abs().into());
    let message = Message::new(id, role, vec![Part::text(words(200))]);
    HistoryItem { seq: Seq(number + 1), message }
}

fn artifact(number: usize) -> Artifact {
    let id = ArtifactId::new(format!("artifact-{number}")).expect("an id");
    let parts = (0..10).map(|_| Part::text(words(100))).collect();
    Artifact { name: Some(format!("Page {number}")), ..Artifact::new(id, parts) }
}
