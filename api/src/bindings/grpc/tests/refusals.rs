//! Malformed or excessive calls are refused with advice.

use super::{Bytes, client, old_client, reason, saying, sent};
use crate::testing::{Node, working};
use axum::{
    body::Body,
    http::{Method, Request as HttpRequest, StatusCode, header},
};
use longhaul_domain::{TaskState, log::StatusChange};
use longhaul_proto::pb::{v0, v1};
use longhaul_signing::{Algorithm, CardSigner, KeyRing, PrivateKey};
use prost::Message;
use prost_types::{ListValue, Value, value::Kind};
use std::{sync::Arc, time::Duration};
use tonic::{Code, Request, Status};
use tower::ServiceExt;

const SEND: &str = "/lf.a2a.v1.A2AService/SendMessage";
const PROTO: &str = "application/grpc";

/// Frames a message.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

/// Sends these bytes and returns the refusal.
async fn raw(
    node: &Node,
    method: Method,
    path: &str,
    kind: &str,
    body: &[u8],
) -> (StatusCode, Status) {
    let request =
        HttpRequest::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
    let request = request.body(Body::from(Bytes::copy_from_slice(body))).unwrap();
    let response = node.api.router().oneshot(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).expect("it is refused at once");
    (response.status(), status)
}

#[tokio::test]
async fn calls_are_sent_by_post() {
    let node = Node::start().await;
    let message = frame(&saying("m").encode_to_vec());
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (http, status) = raw(&node, method, SEND, PROTO, &message).await;
        assert_eq!((http, status.code()), (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented));
        assert!(status.message().contains("POST"));
    }
    let tasks = client(&node).list_tasks(v1::ListTasksRequest::default()).await.unwrap();
    assert_eq!(tasks.get_ref().total_size, 0, "nothing was done");
}

#[tokio::test]
async fn messages_are_protobuf() {
    let node = Node::start().await;
    let message = frame(&saying("m").encode_to_vec());
    for kind in ["application/grpc+json", "application/grpc+", "application/grpc+protobuf"] {
        let (http, status) = raw(&node, Method::POST, SEND, kind, &message).await;
        let refused = (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented);
        assert_eq!((http, status.code()), refused, "{kind}");
        assert!(status.message().contains("application/grpc+proto"), "{kind}");
    }
}

#[tokio::test]
async fn a_call_has_exactly_one_complete_message() {
    let node = Node::start().await;
    let whole = frame(&saying("m").encode_to_vec());
    let two = [whole.clone(), whole.clone()].concat();
    let compressed = [&[1][..], &whole[1..]].concat();
    for (body, why) in [
        (&[][..], "no message"),
        (&whole[..3], "shorter"),
        (&whole[..whole.len() - 1], "shorter"),
        (&two[..], "more than one"),
        (&compressed[..], "without compression"),
        (b"{\"message\":{}}", "must begin with 0"),
    ] {
        let (_, status) = raw(&node, Method::POST, SEND, PROTO, body).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_REQUEST")
        );
        assert!(status.message().contains(why), "{why}: {}", status.message());
    }
    let tasks = client(&node).list_tasks(v1::ListTasksRequest::default()).await.unwrap();
    assert_eq!(tasks.get_ref().total_size, 0, "nothing was done");
}

#[tokio::test]
async fn an_unknown_method_is_refused_with_advice() {
    let node = Node::start().await;
    for path in ["/lf.a2a.v1.A2AService/Nothing", "/a2a.v1.A2AService/ListTasks", "/a/b"] {
        let (_, status) = raw(&node, Method::POST, path, PROTO, &frame(&[])).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unimplemented, "UNIMPLEMENTED")
        );
        assert!(status.message().contains("reflection"), "{path}");
    }
}

#[tokio::test]
async fn a_message_that_decodes_to_many_times_its_bytes_is_refused_first() {
    let node = Node::start().await;
    let many = || vec![String::new(); 2_000_000];
    let mut extensions = saying("a");
    extensions.message.as_mut().unwrap().extensions = many();
    let mut references = saying("b");
    references.message.as_mut().unwrap().reference_task_ids = many();
    let mut modes = saying("c");
    modes.configuration.as_mut().unwrap().accepted_output_modes = many();
    let mut list = saying("d");
    let values = vec![Value::default(); 2_000_000];
    list.message.as_mut().unwrap().parts[0].content =
        Some(v1::part::Content::Data(Value { kind: Some(Kind::ListValue(ListValue { values })) }));
    for request in [extensions, references, modes, list] {
        let status = client(&node).send_message(request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_PARAMS");
        assert!(status.message().contains("in several messages"), "{status:?}");
    }
}

fn within<T>(time: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("grpc-timeout", time.parse().unwrap());
    request
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_its_task_goes_on() {
    let node = Node::start().await;
    let mut waits = saying("m");
    waits.configuration = None;
    let mut caller = client(&node);
    let call =
        longhaul_runtime::spawn(
            "call",
            async move { caller.send_message(within("1H", waits)).await },
        );
    let tasks = async || client(&node).list_tasks(v1::ListTasksRequest::default()).await.unwrap();
    while tasks().await.get_ref().total_size == 0 {
        tokio::task::yield_now().await;
    }
    let mut run = node.claim().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
    );
    tokio::time::resume();
    run.append(vec![working()]).await;
    run.end(StatusChange::to(TaskState::Completed)).await;
    let status = tasks().await.into_inner().tasks.remove(0).status.unwrap();
    assert_eq!(status.state(), v1::TaskState::Completed);
}

#[tokio::test]
async fn a_passed_deadline_ends_a_call_and_a_distant_one_does_not() {
    let node = Node::start().await;
    let list = v1::ListTasksRequest::default;
    let status = client(&node).send_streaming_message(within("0n", saying("m"))).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(client(&node).list_tasks(within("99999999H", list())).await.is_ok());
    for time in ["abc", "1X", "-1S", "123456789S"] {
        let status = client(&node).list_tasks(within(time, list())).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_PARAMS")
        );
        assert!(status.message().contains("such as 30S"), "{time}: {}", status.message());
    }
}

#[tokio::test]
async fn a_time_out_of_range_is_an_invalid_argument() {
    let node = Node::start().await;
    sent(&node, "m").await;
    for seconds in [-8_000_000_000_000, 253_402_300_800] {
        let after = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let list = v1::ListTasksRequest { status_timestamp_after: after, ..Default::default() };
        let status = client(&node).list_tasks(list).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{seconds}");
    }
}

#[tokio::test]
async fn the_public_card_is_signed() {
    let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
    let signer = Arc::new(CardSigner::new(KeyRing::new(Some(key), []), None));
    let node = Node::with_options(|options| options.card_signer = Some(signer)).await;
    let card = old_client(&node).get_agent_card(v0::GetAgentCardRequest {}).await.unwrap();
    assert_eq!(card.get_ref().signatures.len(), 1);
}
