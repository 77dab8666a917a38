//! A broken stream resumes on any node, over any binding and protocol version, after the last
//! received event: the cursor is the same number everywhere.

#[path = "grpc/requests.rs"]
mod requests;

use futures::future::join_all;
use longhaul_proto::pb::{
    v0::{self, a2a_service_client::A2aServiceClient as Old},
    v1::{self, a2a_service_client::A2aServiceClient as New},
};
use longhaul_tests::sse::EventStream;
use longhaul_tests::tasks::{TASK_TIMEOUT, artifact_texts, get, reply_to, return_immediately};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes, unique};
use requests::{channel, new_message, old_message, resuming, seq};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Streaming;

on_both_modes!(a_stream_resumes_from_binding_to_binding);

const ALL: [Binding; 6] = [
    Binding::JsonRpc1_0,
    Binding::JsonRpc0_3,
    Binding::HttpJson1_0,
    Binding::HttpJson0_3,
    Binding::Grpc1_0,
    Binding::Grpc0_3,
];

#[derive(Debug, Clone, Copy)]
enum Binding {
    JsonRpc1_0,
    JsonRpc0_3,
    HttpJson1_0,
    HttpJson0_3,
    Grpc1_0,
    Grpc0_3,
}

/// An event in the form common to all bindings.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    cursor: i64,
    task: String,
    /// A state, or the text of a chunk.
    says: String,
}

/// A stream of any binding.
enum Stream {
    Sse(EventStream),
    New(Streaming<v1::StreamResponse>),
    Old(Streaming<v0::StreamResponse>),
}

impl Stream {
    /// The next event; `None` when the stream has ended or broken.
    async fn next(&mut self) -> Option<Event> {
        match self {
            Self::Sse(stream) => {
                let event = stream.next(TASK_TIMEOUT).await?;
                let cursor = event.id.as_deref().and_then(|id| id.parse().ok());
                Some(of_json(cursor.expect("an event has a cursor"), &event.json()))
            }
            Self::New(stream) => {
                let event =
                    timeout(TASK_TIMEOUT, stream.message()).await.expect("an event in time");
                event.ok()?.map(of_new)
            }
            Self::Old(stream) => {
                let event =
                    timeout(TASK_TIMEOUT, stream.message()).await.expect("an event in time");
                event.ok()?.map(of_old)
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count
            && let Some(event) = self.next().await
        {
            events.push(event);
        }
        events
    }
}

fn state(name: &str) -> String {
    name.trim_start_matches("TASK_STATE_").to_uppercase()
}

fn of_json(cursor: i64, event: &Value) -> Event {
    assert!(event["error"].is_null(), "{event}");
    let event = event.get("result").unwrap_or(event);
    let wrapped = ["task", "statusUpdate", "artifactUpdate"];
    let event = wrapped.iter().find_map(|name| event.get(name)).unwrap_or(event);
    let text = |values: [&Value; 2]| {
        let text = values.into_iter().find_map(Value::as_str);
        text.unwrap_or_else(|| panic!("not as expected: {event}")).to_owned()
    };
    let says = text([&event["status"]["state"], &event["artifact"]["parts"][0]["text"]]);
    Event { cursor, task: text([&event["taskId"], &event["id"]]), says: state(&says) }
}

fn of_new(event: v1::StreamResponse) -> Event {
    use v1::{part::Content, stream_response::Payload};
    let named =
        |status: Option<v1::TaskStatus>| state(status.expect("it has one").state().as_str_name());
    let (metadata, task, says) = match event.payload {
        Some(Payload::Task(task)) => (task.metadata, task.id, named(task.status)),
        Some(Payload::StatusUpdate(event)) => (event.metadata, event.task_id, named(event.status)),
        Some(Payload::ArtifactUpdate(event)) => {
            let part = event.artifact.expect("it has one").parts.remove(0).content;
            let Some(Content::Text(text)) = part else { panic!("{part:?}") };
            (event.metadata, event.task_id, text)
        }
        other => panic!("{other:?}"),
    };
    Event { cursor: seq(metadata), task, says }
}

fn of_old(event: v0::StreamResponse) -> Event {
    use v0::{part::Part, stream_response::Payload};
    let named =
        |status: Option<v0::TaskStatus>| state(status.expect("it has one").state().as_str_name());
    let (metadata, task, says) = match event.payload {
        Some(Payload::Task(task)) => (task.metadata, task.id, named(task.status)),
        Some(Payload::StatusUpdate(event)) => (event.metadata, event.task_id, named(event.status)),
        Some(Payload::ArtifactUpdate(event)) => {
            let part = event.artifact.expect("it has one").parts.remove(0).part;
            let Some(Part::Text(text)) = part else { panic!("{part:?}") };
            (event.metadata, event.task_id, text)
        }
        other => panic!("{other:?}"),
    };
    Event { cursor: seq(metadata), task, says }
}

impl Binding {
    /// Sends a text to the first node and streams the task's events.
    async fn send(self, stack: &Stack, text: &str) -> Stream {
        let client = stack.client();
        let old = client.clone().without_header("a2a-version");
        let name = unique::name("m");
        match self {
            Self::JsonRpc1_0 => {
                Stream::Sse(client.stream("SendStreamingMessage", said(&name, text)).await)
            }
            Self::JsonRpc0_3 => {
                let parts = json!([{"kind": "text", "text": text}]);
                let said = json!({"message": {"kind": "message", "messageId": name, "role": "user", "parts": parts}});
                Stream::Sse(old.stream("message/stream", said).await)
            }
            Self::HttpJson1_0 => {
                let path = "/message:stream";
                Stream::Sse(open(&client, Method::POST, path, &said(&name, text)).await)
            }
            Self::HttpJson0_3 => {
                let content = json!([{"text": text}]);
                let said = json!({"request": {"messageId": name, "role": "ROLE_USER", "content": content}});
                Stream::Sse(open(&old, Method::POST, "/v1/message:stream", &said).await)
            }
            Self::Grpc1_0 => {
                let said = new_message(name, text);
                let mut client = New::new(channel(stack, 0));
                let answer = client.send_streaming_message(said).await;
                Stream::New(answer.expect("it is answered").into_inner())
            }
            Self::Grpc0_3 => {
                let said = old_message(name, text);
                let mut client = Old::new(channel(stack, 0));
                let answer = client.send_streaming_message(said).await;
                Stream::Old(answer.expect("it is answered").into_inner())
            }
        }
    }

    /// Subscribes to a task on a node, after a cursor.
    async fn resume(self, stack: &Stack, node: usize, task: &str, cursor: i64) -> Stream {
        let client = stack.client_at(node).header("last-event-id", &cursor.to_string());
        let old = client.clone().without_header("a2a-version");
        let name = format!("tasks/{task}");
        match self {
            Self::JsonRpc1_0 => {
                Stream::Sse(client.stream("SubscribeToTask", json!({"id": task})).await)
            }
            Self::JsonRpc0_3 => {
                Stream::Sse(old.stream("tasks/resubscribe", json!({"id": task})).await)
            }
            Self::HttpJson1_0 => {
                let path = format!("/{name}:subscribe");
                Stream::Sse(open(&client, Method::GET, &path, &json!({})).await)
            }
            Self::HttpJson0_3 => {
                let path = format!("/v1/{name}:subscribe");
                Stream::Sse(open(&old, Method::POST, &path, &json!({})).await)
            }
            Self::Grpc1_0 => {
                let task = v1::SubscribeToTaskRequest { id: task.to_owned(), ..Default::default() };
                let mut client = New::new(channel(stack, node));
                let answer = client.subscribe_to_task(resuming(task, cursor)).await;
                Stream::New(answer.expect("it is answered").into_inner())
            }
            Self::Grpc0_3 => {
                let task = v0::TaskSubscriptionRequest { name };
                let mut client = Old::new(channel(stack, node));
                let answer = client.task_subscription(resuming(task, cursor)).await;
                Stream::Old(answer.expect("it is answered").into_inner())
            }
        }
    }

    /// All events of an ended task.
    async fn replay(self, stack: &Stack, node: usize, task: &str) -> Vec<Event> {
        self.resume(stack, node, task, 0).await.take(usize::MAX).await
    }
}

fn said(id: &str, text: &str) -> Value {
    json!({"message": {"messageId": id, "role": "ROLE_USER", "parts": [{"text": text}]}})
}

async fn open(client: &Client, method: Method, path: &str, body: &Value) -> EventStream {
    let request = client.request(method, path).json(body);
    EventStream::open(request.send().await.expect(path)).await
}

/// Texts of the chunks among the events.
fn chunks(events: &[Event]) -> Vec<&str> {
    let texts = events.iter().map(|event| event.says.as_str());
    texts.filter(|says| says.starts_with('0')).collect()
}

/// Asserts that a stream's events and the task agree, once both have ended.
async fn assert_is_whole(stack: &Stack, seen: &[Event], wanted: usize) {
    let Event { cursor, task, says } = &seen[0];
    let ended = get(&stack.client_at(1), task).await;
    assert_eq!(ended["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(
        (says.as_str(), seen.last().map(|event| event.says.as_str())),
        ("SUBMITTED", Some("COMPLETED"))
    );
    assert_eq!(chunks(seen), artifact_texts(&ended), "no gap and no repeat");
    assert_eq!(chunks(seen).len(), wanted);
    let mut all = Binding::JsonRpc1_0.replay(stack, 1, task).await;
    all.retain(|event| event.cursor > *cursor);
    assert_eq!(seen[1..], all, "everything behind the snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_resumes_on_another_node_after_its_own_was_killed() {
    let mut stack = StackBuilder::new(Mode::Distributed).nodes(2).start().await;
    let begun = join_all(ALL.map(async |binding| {
        // The task cannot end before its node is gone: it waits for a message that is sent later.
        let mut stream = binding.send(&stack, "!chunks 300 10 10; listen 1; complete done").await;
        let seen = stream.take(20).await;
        assert_eq!(seen.len(), 20, "{binding:?}");
        (binding, stream, seen)
    }));
    let begun = begun.await;
    stack.kill_node(0);
    let stack = &stack;
    join_all(begun.into_iter().map(async |(binding, mut broken, mut seen)| {
        seen.extend(broken.take(usize::MAX).await);
        let (task, cursor) = (seen[0].task.clone(), seen[seen.len() - 1].cursor);
        let mut rest = binding.resume(stack, 1, &task, cursor).await;
        stack.client_at(1).call("SendMessage", return_immediately(reply_to(&task, "go on"))).await;
        seen.extend(rest.take(usize::MAX).await);
        assert_is_whole(stack, &seen, 300).await;
    }))
    .await;
}

async fn a_stream_resumes_from_binding_to_binding(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    for first in [Binding::JsonRpc1_0, Binding::Grpc0_3] {
        let mut seen = first.send(&stack, "!chunks 100 10 5; complete done").await.take(1).await;
        let task = seen[0].task.clone();
        for (node, binding) in ALL.into_iter().cycle().enumerate() {
            let last = &seen[seen.len() - 1];
            if last.says == "COMPLETED" {
                break;
            }
            seen.extend(binding.resume(&stack, node, &task, last.cursor).await.take(7).await);
        }
        assert_is_whole(&stack, &seen, 100).await;
        let all = Binding::JsonRpc1_0.replay(&stack, 0, &task).await;
        for binding in ALL {
            assert_eq!(binding.replay(&stack, 1, &task).await, all, "{binding:?}");
        }
    }
    stack.assert_no_errors_logged();
}
