//! Reflection and health checks for gRPC tools, and shutdown of the server.

use super::{channel, new, next, rest, saying};
use futures::stream;
use longhaul_tests::child::ProcessExit;
use longhaul_tests::tasks::TASK_TIMEOUT;
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes};
use prost::Message;
use prost_types::FileDescriptorProto;
use std::collections::BTreeSet;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

on_both_modes!(
    reflection_describes_both_services_to_anybody,
    health_is_told_to_anybody,
    streams_end_cleanly_when_a_node_is_stopped,
);

async fn reflected(stack: &Stack, asked: MessageRequest) -> MessageResponse {
    let question = ServerReflectionRequest { message_request: Some(asked), ..Default::default() };
    let mut client = ServerReflectionClient::new(channel(stack, 0));
    let answers = client.server_reflection_info(stream::iter([question])).await;
    let answer = next(&mut answers.expect("it is answered").into_inner()).await;
    answer.and_then(|answer| answer.message_response).expect("there is an answer")
}

async fn reflection_describes_both_services_to_anybody(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read").start().await;
    let list = reflected(&stack, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = list else { panic!("{list:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["lf.a2a.v1.A2AService", "a2a.v1.A2AService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for name in ["lf.a2a.v1.A2AService", "a2a.v1.A2AService", "grpc.health.v1.Health"] {
        let mut wanted = vec![MessageRequest::FileContainingSymbol(name.to_owned())];
        let mut seen = BTreeSet::new();
        // Like tools: reads a file and its dependencies.
        while let Some(asked) = wanted.pop() {
            for file in files(reflected(&stack, asked).await) {
                let needed = file.dependency.into_iter().filter(|name| seen.insert(name.clone()));
                wanted.extend(needed.map(MessageRequest::FileByFilename));
            }
        }
        assert_eq!(seen.is_empty(), name.starts_with("grpc."), "{name} needs {seen:?}");
    }
}

fn files(answer: MessageResponse) -> Vec<FileDescriptorProto> {
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    let files = files.file_descriptor_proto;
    files.iter().map(|file| FileDescriptorProto::decode(file.as_slice()).expect("a file")).collect()
}

async fn health_is_told_to_anybody(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read").start().await;
    let mut health = HealthClient::new(channel(&stack, 0));
    for name in ["", "lf.a2a.v1.A2AService", "a2a.v1.A2AService"] {
        let asked = HealthCheckRequest { service: name.to_owned() };
        let answer = health.check(asked).await.expect("it is answered").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name:?}");
    }
    let asked = HealthCheckRequest { service: "nobody".to_owned() };
    let status = health.check(asked).await.expect_err("there is no such service");
    assert_eq!(status.code(), Code::NotFound);
}

async fn streams_end_cleanly_when_a_node_is_stopped(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let mut health = HealthClient::new(channel(&stack, 0));
    let watch = health.watch(HealthCheckRequest::default()).await.expect("it is answered");
    let mut watch = watch.into_inner();
    let first = next(&mut watch).await.expect("it begins with what is now");
    assert_eq!(first.status(), ServingStatus::Serving);
    let stream = new(&stack).send_streaming_message(saying("!hang")).await;
    let mut stream = stream.expect("it is accepted").into_inner();
    next(&mut stream).await.expect("the task");
    stack.nodes()[0].running().sigterm();
    // Neither stream ends with an error: the client reconnects to another node.
    timeout(TASK_TIMEOUT, rest(stream)).await.expect("the stream ends");
    let last = rest(watch).await.pop().expect("it tells of the change");
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert_eq!(stack.nodes()[0].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
}
