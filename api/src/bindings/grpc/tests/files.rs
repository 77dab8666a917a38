//! Files in 0.3: the official Python and Go clients send base64 text as bytes.

use super::{client, old_client};
use crate::testing::{Node, TEST_TIMEOUT, artifact_entry, working};
use bytes::Bytes;
use futures::StreamExt;
use longhaul_domain::{Part, TaskState, log::StatusChange};
use longhaul_proto::pb::{
    v0::{
        self, FilePart, file_part::File, part::Part as PartContent, send_message_response,
        stream_response,
    },
    v1,
};
use tokio::time::timeout;
use tonic::Request;

/// Neither text nor base64.
const CONTENT: &[u8] = b"\0\x01\xfe\xff";
const TEXT: &[u8] = b"AAH+/w==";
const PYTHON: &str = "grpc-python-asyncio/1.71.0 grpc-c/46.0.0 (linux; chttp2)";
const JAVASCRIPT: &str = "grpc-node-js/1.13.4";

fn by<T>(agent: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("user-agent", agent.parse().unwrap());
    request
}

fn saying(id: &str, content: &'static [u8]) -> v0::SendMessageRequest {
    let file = Some(File::FileWithBytes(Bytes::from_static(content)));
    let held = PartContent::File(FilePart { file, ..FilePart::default() });
    v0::SendMessageRequest {
        request: Some(v0::Message {
            message_id: id.to_owned(),
            role: v1::Role::User.into(),
            content: vec![v0::Part { part: Some(held), metadata: None }],
            ..v0::Message::default()
        }),
        configuration: Some(v0::SendMessageConfiguration::default()),
        metadata: None,
    }
}

fn content(parts: &[v0::Part]) -> Bytes {
    match &parts[0].part {
        Some(PartContent::File(FilePart { file: Some(File::FileWithBytes(bytes)), .. })) => {
            bytes.clone()
        }
        other => panic!("{other:?}"),
    }
}

async fn sent(node: &Node, agent: &str, request: v0::SendMessageRequest) -> v0::Task {
    let answer = old_client(node).send_message(by(agent, request)).await.unwrap().into_inner();
    match answer.payload {
        Some(send_message_response::Payload::Task(task)) => task,
        other => panic!("{other:?}"),
    }
}

/// Content as clients of 1.0 read it from the task's history.
async fn read(node: &Node, id: &str) -> Bytes {
    let get = v1::GetTaskRequest { id: id.to_owned(), ..v1::GetTaskRequest::default() };
    let task = client(node).get_task(get).await.unwrap().into_inner();
    match &task.history[0].parts[0].content {
        Some(v1::part::Content::Raw(bytes)) => bytes.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_the_same_in_either_encoding() {
    let node = Node::start().await;
    for (agent, given) in [(PYTHON, TEXT), (JAVASCRIPT, CONTENT)] {
        let task = sent(&node, agent, saying(agent, given)).await;
        assert_eq!(content(&task.history[0].content), given, "as it was sent: {agent}");
        assert_eq!(read(&node, &task.id).await, CONTENT, "{agent}");
        let get = v0::GetTaskRequest { name: format!("tasks/{}", task.id), history_length: 0 };
        for (agent, expected) in [(PYTHON, TEXT), (JAVASCRIPT, CONTENT)] {
            let answer = old_client(&node).get_task(by(agent, get.clone())).await.unwrap();
            assert_eq!(content(&answer.get_ref().history[0].content), expected, "{agent}");
        }
        let cancel = v0::CancelTaskRequest { name: get.name };
        let canceled = old_client(&node).cancel_task(by(PYTHON, cancel)).await.unwrap();
        assert_eq!(content(&canceled.get_ref().history[0].content), TEXT);
    }
}

#[tokio::test]
async fn a_stream_encodes_files_for_its_reader() {
    let node = Node::start().await;
    let task = sent(&node, JAVASCRIPT, saying("m", CONTENT)).await;
    let follow = async |agent| {
        let subscribe = v0::TaskSubscriptionRequest { name: format!("tasks/{}", task.id) };
        let stream = old_client(&node).task_subscription(by(agent, subscribe)).await.unwrap();
        stream.into_inner()
    };
    let streams = [(TEXT, follow(PYTHON).await), (CONTENT, follow(JAVASCRIPT).await)];
    let mut run = node.claim().await;
    run.append(vec![working(), artifact_entry(Part::raw(CONTENT, "application/octet-stream"))])
        .await;
    run.end(StatusChange::to(TaskState::Completed)).await;
    for (expected, stream) in streams {
        let events: Vec<_> = timeout(TEST_TIMEOUT, stream.collect::<Vec<_>>()).await.unwrap();
        let mut files = Vec::new();
        for event in events {
            match event.unwrap().payload.unwrap() {
                stream_response::Payload::Task(task) => {
                    files.push(content(&task.history[0].content));
                }
                stream_response::Payload::ArtifactUpdate(event) => {
                    files.push(content(&event.artifact.unwrap().parts));
                }
                _ => {}
            }
        }
        assert_eq!(files, [expected, expected]);
    }
}
