mod files;
mod refusals;

use crate::testing::{Node, TEST_TIMEOUT, artifact_entry, working};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Request as HttpRequest, Response as HttpResponse},
};
use futures::StreamExt;
use longhaul_domain::{Part, TaskState, extension::RESUME_EXTENSION, log::StatusChange};
use longhaul_proto::pb::{
    rpc,
    v0::{self, a2a_service_client::A2aServiceClient as OldClient},
    v1::{self, a2a_service_client::A2aServiceClient as Client, stream_response::Payload},
};
use prost::Message;
use tokio::time::timeout;
use tonic::{Code, Request, Status, codec::CompressionEncoding};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceExt;

fn client(node: &Node) -> Client<Router> {
    Client::new(node.api.router())
}

fn old_client(node: &Node) -> OldClient<Router> {
    OldClient::new(node.api.router())
}

fn saying(id: &str) -> v1::SendMessageRequest {
    let part =
        v1::Part { content: Some(v1::part::Content::Text("hi".to_owned())), ..v1::Part::default() };
    v1::SendMessageRequest {
        message: Some(v1::Message {
            message_id: id.to_owned(),
            role: v1::Role::User.into(),
            parts: vec![part],
            ..v1::Message::default()
        }),
        configuration: Some(v1::SendMessageConfiguration {
            return_immediately: true,
            ..v1::SendMessageConfiguration::default()
        }),
        ..v1::SendMessageRequest::default()
    }
}

async fn sent(node: &Node, id: &str) -> v1::Task {
    let answer = client(node).send_message(saying(id)).await.unwrap().into_inner();
    match answer.payload {
        Some(v1::send_message_response::Payload::Task(task)) => task,
        other => panic!("{other:?}"),
    }
}

/// Reason in the details of a status.
fn reason(status: &Status) -> String {
    let details = rpc::Status::decode(status.details()).unwrap().details;
    rpc::ErrorInfo::decode(details[0].value.as_slice()).unwrap().reason
}

/// Cursor in an event's metadata.
fn seq(metadata: Option<prost_types::Struct>) -> f64 {
    use prost_types::value::Kind;
    let cursor = metadata.unwrap().fields.remove(RESUME_EXTENSION).and_then(|cursor| cursor.kind);
    let Some(Kind::StructValue(mut cursor)) = cursor else { panic!("{cursor:?}") };
    match cursor.fields.remove("seq").and_then(|seq| seq.kind) {
        Some(Kind::NumberValue(seq)) => seq,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_task_is_sent_read_listed_and_canceled() {
    let node = Node::start().await;
    let task = sent(&node, "m").await;
    let get = v1::GetTaskRequest { id: task.id.clone(), ..v1::GetTaskRequest::default() };
    let read = client(&node).get_task(get).await.unwrap().into_inner();
    assert_eq!(read.id, task.id);
    assert_eq!(read.history.len(), 1);
    let list = client(&node).list_tasks(v1::ListTasksRequest::default()).await.unwrap();
    assert_eq!(list.get_ref().total_size, 1);
    let cancel = v1::CancelTaskRequest { id: task.id, ..v1::CancelTaskRequest::default() };
    let canceled = client(&node).cancel_task(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(canceled.status.unwrap().state(), v1::TaskState::Canceled);
    let again = client(&node).cancel_task(cancel).await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::FailedPrecondition, "TASK_NOT_CANCELABLE")
    );
}

#[tokio::test]
async fn calls_may_be_compressed_with_gzip() {
    let node = Node::start().await;
    let gzip = CompressionEncoding::Gzip;
    let sent = client(&node).send_compressed(gzip).send_message(saying("m")).await;
    assert!(sent.unwrap().into_inner().payload.is_some());
    let mut health = HealthClient::new(node.api.router()).send_compressed(gzip);
    assert!(health.check(HealthCheckRequest::default()).await.is_ok());
}

#[tokio::test]
async fn a_stream_has_a_cursor_and_resumes_from_it() {
    let node = Node::start().await;
    let mut stream = client(&node).send_streaming_message(saying("m")).await.unwrap().into_inner();
    let first = timeout(TEST_TIMEOUT, stream.next()).await.unwrap().unwrap().unwrap();
    let Some(Payload::Task(task)) = first.payload else { panic!("{first:?}") };
    let mut run = node.claim().await;
    run.append(vec![working(), artifact_entry(Part::text("x"))]).await;
    run.end(StatusChange::to(TaskState::Completed)).await;
    let rest: Vec<_> = timeout(TEST_TIMEOUT, stream.collect::<Vec<_>>()).await.unwrap();
    let rest: Vec<_> = rest.into_iter().map(|event| event.unwrap().payload.unwrap()).collect();
    assert_eq!(rest.len(), 3, "working, the artifact and the end: {rest:?}");
    let Payload::StatusUpdate(first) = &rest[0] else { panic!("{rest:?}") };
    let cursor = seq(first.metadata.clone());

    // The task has ended meanwhile, and a client that was cut off after the first event gets the
    // rest.
    let subscribe =
        v1::SubscribeToTaskRequest { id: task.id, ..v1::SubscribeToTaskRequest::default() };
    let mut request = Request::new(subscribe.clone());
    request.metadata_mut().insert("last-event-id", cursor.to_string().parse().unwrap());
    let again = client(&node).subscribe_to_task(request).await.unwrap().into_inner();
    let again: Vec<_> = timeout(TEST_TIMEOUT, again.collect::<Vec<_>>()).await.unwrap();
    let again: Vec<_> = again.into_iter().map(|event| event.unwrap().payload.unwrap()).collect();
    assert_eq!(again, rest[1..]);

    let ended = client(&node).subscribe_to_task(subscribe).await.unwrap_err();
    assert_eq!(reason(&ended), "UNSUPPORTED_OPERATION");
}

#[tokio::test]
async fn clients_of_0_3_have_their_own_service() {
    let node = Node::start().await;
    let part = v0::Part { part: Some(v0::part::Part::Text("hi".to_owned())), metadata: None };
    let request = v0::SendMessageRequest {
        request: Some(v0::Message {
            message_id: "m".to_owned(),
            role: v1::Role::User.into(),
            content: vec![part],
            ..v0::Message::default()
        }),
        configuration: Some(v0::SendMessageConfiguration::default()),
        metadata: None,
    };
    let answer = old_client(&node).send_message(request).await.unwrap().into_inner();
    let Some(v0::send_message_response::Payload::Task(task)) = answer.payload else {
        panic!("{answer:?}")
    };
    let name = format!("tasks/{}", task.id);
    let get = v0::GetTaskRequest { name: name.clone(), history_length: 0 };
    let read = old_client(&node).get_task(get).await.unwrap().into_inner();
    assert_eq!((read.id, read.history.len()), (task.id.clone(), 1));
    let subscribe = v0::TaskSubscriptionRequest { name };
    let stream = old_client(&node).task_subscription(subscribe).await.unwrap().into_inner();
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    run.end(StatusChange::to(TaskState::Completed)).await;
    let events: Vec<_> = timeout(TEST_TIMEOUT, stream.collect::<Vec<_>>()).await.unwrap();
    let last = events.into_iter().last().unwrap().unwrap().payload;
    let Some(v0::stream_response::Payload::StatusUpdate(last)) = last else { panic!("{last:?}") };
    assert!(last.r#final);
    let missing = v0::GetTaskRequest { name: "tasks/none".to_owned(), history_length: 0 };
    let missing = old_client(&node).get_task(missing).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "TASK_NOT_FOUND"));
}

#[tokio::test]
async fn clients_of_0_3_get_the_public_card() {
    let node = Node::start().await;
    let card = old_client(&node).get_agent_card(v0::GetAgentCardRequest {}).await.unwrap();
    assert_eq!(
        (card.get_ref().name.as_str(), card.get_ref().protocol_version.as_str()),
        ("echo", "0.3.0")
    );
    let request = v1::GetExtendedAgentCardRequest::default();
    let refused = client(&node).get_extended_agent_card(request).await.unwrap_err();
    assert_eq!(reason(&refused), "UNSUPPORTED_OPERATION");
}

#[tokio::test]
async fn a_stated_version_must_match_the_service() {
    let node = Node::start().await;
    for (version, refused) in [("1.0", false), ("1.0.3", false), ("0.3", true), ("7.1", true)] {
        let mut request = Request::new(v1::ListTasksRequest::default());
        request.metadata_mut().insert("a2a-version", version.parse().unwrap());
        let answer = client(&node).list_tasks(request).await;
        assert_eq!(answer.is_err(), refused, "{version}");
        if let Err(status) = answer {
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert_eq!(reason(&status), "VERSION_NOT_SUPPORTED");
        }
    }
    let mut request = Request::new(v0::GetAgentCardRequest {});
    request.metadata_mut().insert("a2a-version", "1.0".parse().unwrap());
    let status = old_client(&node).get_agent_card(request).await.unwrap_err();
    assert_eq!(reason(&status), "VERSION_NOT_SUPPORTED");
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let node = Node::start().await;
    let mut request = saying("m");
    request.message.as_mut().unwrap().parts.clear();
    let status = client(&node).send_message(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let wrong = rpc::BadRequest::decode(details[1].value.as_slice()).unwrap();
    assert_eq!(wrong.field_violations[0].field, "message.parts");
    let mut request = saying("m");
    request.tenant = "nobody".to_owned();
    let status = client(&node).send_message(request).await.unwrap_err();
    assert_eq!(reason(&status), "UNSUPPORTED_OPERATION");
}

#[tokio::test]
async fn without_a_key_no_body_is_read() {
    let node = Node::with_keys().await;
    let status = client(&node).send_message(saying("m")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unauthenticated, "UNAUTHENTICATED")
    );
    // Health needs no credentials.
    let health = HealthClient::new(node.api.router());
    assert!(health.clone().check(HealthCheckRequest::default()).await.is_ok());
}

#[tokio::test]
async fn active_extensions_are_named_in_the_response() {
    let node = Node::start().await;
    let ours = "urn:longhaul:a2a:durability:v1";
    for name in ["a2a-extensions", "x-a2a-extensions"] {
        let mut request = Request::new(saying("m"));
        request.metadata_mut().insert(name, ours.parse().unwrap());
        let answer = client(&node).send_message(request).await.unwrap();
        assert_eq!(answer.metadata().get(name).unwrap(), ours);
    }
}

#[tokio::test]
async fn webhooks_are_not_supported_yet() {
    let node = Node::start().await;
    let task = sent(&node, "m").await;
    let request = v1::TaskPushNotificationConfig {
        task_id: task.id,
        url: "https://h.example/".to_owned(),
        ..v1::TaskPushNotificationConfig::default()
    };
    let status = client(&node).create_task_push_notification_config(request).await.unwrap_err();
    assert_eq!(reason(&status), "PUSH_NOTIFICATION_NOT_SUPPORTED");
}

/// Sends a message of these bytes.
async fn raw(node: &Node, path: &str, message: &[u8]) -> HttpResponse<Body> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    let request = HttpRequest::post(path).header("content-type", "application/grpc+proto");
    node.api.router().oneshot(request.body(Body::from(frame)).unwrap()).await.unwrap()
}

async fn code(response: HttpResponse<Body>) -> Code {
    let status = Status::from_header_map(response.headers());
    if let Some(status) = status {
        return status.code();
    }
    let trailers = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    Status::from_header_map(trailers.trailers().unwrap()).unwrap().code()
}

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let node = Node::start().await;
    for path in ["/lf.a2a.v1.A2AService/Nothing", "/a2a.v2.A2AService/SendMessage", "/", "/x/y/z"] {
        assert_eq!(code(raw(&node, path, &[]).await).await, Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn undecodable_bytes_are_an_invalid_argument() {
    let node = Node::start().await;
    let response = raw(&node, "/lf.a2a.v1.A2AService/SendMessage", &[0xff; 20]).await;
    assert_eq!(code(response).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let node = Node::start().await;
    let large = vec![0; 11 << 20];
    let response = raw(&node, "/lf.a2a.v1.A2AService/SendMessage", &large).await;
    assert_eq!(code(response).await, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_message_of_very_many_empty_parts_is_refused_before_it_is_decoded() {
    let node = Node::start().await;
    let mut request = saying("m");
    request.message.as_mut().unwrap().parts = vec![v1::Part::default(); 1_000_000];
    let status = client(&node).send_message(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("must not be more than"), "{status:?}");
}

#[tokio::test]
async fn reflection_describes_both_services() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let node = Node::start().await;
    let question = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let mut client = ServerReflectionClient::new(node.api.router());
    let asked = futures::stream::iter([question]);
    let answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let answers: Vec<_> = timeout(TEST_TIMEOUT, answers.collect::<Vec<_>>()).await.unwrap();
    let answer = answers[0].as_ref().unwrap().message_response.clone();
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["lf.a2a.v1.A2AService", "a2a.v1.A2AService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[tokio::test]
async fn other_protocols_are_not_diverted() {
    let node = Node::start().await;
    let request = HttpRequest::get("/healthz").header("content-type", "application/grpc-web");
    let response = node.api.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let body: Bytes = to_bytes(response.into_body(), 1 << 10).await.unwrap();
    assert!(!body.is_empty());
}

#[tokio::test]
async fn streams_end_when_the_node_drains() {
    let node = Node::start().await;
    let mut health = HealthClient::new(node.api.router());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let stream = client(&node).send_streaming_message(saying("m")).await.unwrap().into_inner();
    node.shutdown.drain();
    let events: Vec<_> = timeout(TEST_TIMEOUT, stream.collect::<Vec<_>>()).await.unwrap();
    assert!(events.iter().all(Result::is_ok), "{events:?}");
    let seen: Vec<_> = timeout(TEST_TIMEOUT, watch.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(seen.last().unwrap().as_ref().unwrap().status().as_str_name(), "NOT_SERVING");
}

/// Waits until no task is awaited.
async fn left(node: &Node) {
    while node.service().hub.awaited() > 0 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_disconnected_reader_leaves_no_subscription() {
    let node = Node::start().await;
    let stream = client(&node).send_streaming_message(saying("m")).await.unwrap().into_inner();
    assert_eq!(node.service().hub.awaited(), 1);
    drop(stream);
    tokio::time::pause();
    timeout(TEST_TIMEOUT, left(&node)).await.expect("the subscription is dropped");
}
