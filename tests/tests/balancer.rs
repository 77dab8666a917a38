//! The deployment's load balancer passes every binding through, and hides failures of one node.

#[path = "grpc/requests.rs"]
#[expect(dead_code, reason = "channels to nodes and messages of 0.3 are for other tests")]
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::stream;
use longhaul_proto::pb::v1::{self, a2a_service_client::A2aServiceClient};
use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::stack::NodeSlot;
use longhaul_tests::tasks::{self, TASK_TIMEOUT};
use longhaul_tests::{Balancer, Client, Mode, Stack, StackBuilder, eventually, unique};
use requests::{new_message, resuming, seq};
use serde_json::json;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

/// Far below the grace period of the container (45 s), far above `worker_shutdown_timeout` (3 s).
const HANDOVER_LIMIT: Duration = Duration::from_secs(20);
/// More than nginx's default limit of 128 streams per connection.
const SUBSCRIBERS: usize = 200;

async fn in_front_of(stack: &Stack) -> Balancer {
    let nodes: Vec<String> = stack.nodes().iter().map(NodeSlot::address).collect();
    Balancer::start(&nodes).await
}

fn channel(balancer: &Balancer) -> Channel {
    Channel::from_shared(balancer.grpc()).expect("an address").connect_lazy()
}

fn grpc(balancer: &Balancer) -> A2aServiceClient<Channel> {
    A2aServiceClient::new(channel(balancer))
}

fn saying(text: &str) -> v1::SendMessageRequest {
    new_message(unique::name("m"), text)
}

async fn next<T>(stream: &mut Streaming<T>) -> Option<T> {
    let event = timeout(TASK_TIMEOUT, stream.message()).await.expect("an event in time");
    event.expect("the stream does not fail")
}

/// The cursor of an event, and its task.
fn cursor_and_task(event: v1::StreamResponse) -> (i64, String) {
    use v1::stream_response::Payload;
    match event.payload.expect("an event says something") {
        Payload::Task(task) => (seq(task.metadata), task.id),
        Payload::StatusUpdate(event) => (seq(event.metadata), event.task_id),
        Payload::ArtifactUpdate(event) => (seq(event.metadata), event.task_id),
        Payload::Message(message) => panic!("{message:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_passes_with_its_streams_and_their_cursors() {
    let stack = StackBuilder::new(Mode::Distributed).nodes(2).start().await;
    let balancer = in_front_of(&stack).await;
    let answer = grpc(&balancer).send_message(saying("well done")).await.expect("it is accepted");
    let payload = answer.into_inner().payload;
    let Some(v1::send_message_response::Payload::Task(task)) = payload else {
        panic!("{payload:?}")
    };
    assert_eq!(task.status.expect("it has one").state(), v1::TaskState::Completed);

    let sent = grpc(&balancer).send_streaming_message(saying("!chunks 10 10; ask more?")).await;
    let mut whole = Vec::new();
    let mut stream = sent.expect("it is accepted").into_inner();
    while let Some(event) = next(&mut stream).await {
        whole.push(cursor_and_task(event));
    }
    let (cursor, task) = whole[whole.len() / 2].clone();
    let subscribe = v1::SubscribeToTaskRequest { id: task, ..Default::default() };
    let rest = grpc(&balancer).subscribe_to_task(resuming(subscribe, cursor)).await;
    let mut rest = rest.expect("it waits for an answer").into_inner();
    for expected in &whole[whole.len() / 2 + 1..] {
        assert_eq!(next(&mut rest).await.map(cursor_and_task).as_ref(), Some(expected));
    }
    stack.assert_no_errors_logged();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_pass() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let balancer = in_front_of(&stack).await;
    let health = HealthClient::new(channel(&balancer)).check(HealthCheckRequest::default()).await;
    assert_eq!(health.expect("it is answered").get_ref().status(), ServingStatus::Serving);
    let asked = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut reflection = ServerReflectionClient::new(channel(&balancer));
    let answers = reflection.server_reflection_info(stream::iter([asked])).await;
    let answer = next(&mut answers.expect("it is answered").into_inner()).await;
    let list = answer.and_then(|answer| answer.message_response);
    assert!(matches!(list, Some(MessageResponse::ListServicesResponse(_))), "{list:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_pass_beside_many_that_wait_on_the_same_connection() {
    let stack = StackBuilder::new(Mode::Distributed).nodes(2).start().await;
    let balancer = in_front_of(&stack).await;
    let task = tasks::start_working(&balancer.client(), "!hang").await;
    let id = tasks::id(&task);
    let client = grpc(&balancer);
    let subscriptions = (0..SUBSCRIBERS).map(|_| {
        let mut client = client.clone();
        let subscribe = v1::SubscribeToTaskRequest { id: id.clone(), ..Default::default() };
        async move { client.subscribe_to_task(subscribe).await.expect("it runs").into_inner() }
    });
    let open = timeout(TASK_TIMEOUT, join_all(subscriptions)).await.expect("every stream opens");
    let get = v1::GetTaskRequest { id, ..Default::default() };
    let task =
        timeout(TASK_TIMEOUT, client.clone().get_task(get)).await.expect("an answer in time");
    assert!(task.is_ok(), "{task:?}");
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_is_replaced_does_not_wait_for_open_streams() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let balancer = in_front_of(&stack).await;
    let mut stream = tasks::stream(&balancer.client(), "!hang").await;
    assert!(stream.next_result(TASK_TIMEOUT).await.is_some(), "the stream has begun");
    let mut other = grpc(&balancer).send_streaming_message(saying("!hang")).await;
    let other = other.as_mut().expect("it is accepted").get_mut();
    assert!(next(other).await.is_some(), "the other stream has begun");
    balancer.process().sigquit();
    assert_eq!(balancer.process().wait_exit(HANDOVER_LIMIT), ProcessExit::Code(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_gone_are_skipped_however_many() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let gone: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
    let mut nodes: Vec<String> = gone.iter().map(Port::address).collect();
    nodes.push(stack.nodes()[0].address());
    let balancer = Balancer::start(&nodes).await;
    let grpc = grpc(&balancer).send_message(saying("hello")).await;
    assert!(grpc.is_ok(), "{grpc:?}");
    for _ in 0..nodes.len() {
        let task = tasks::send(&balancer.client(), "hello").await;
        assert_eq!(tasks::state(&task), "COMPLETED");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_node_clients_get_a_retry_after() {
    let gone = [Port::reserve(), Port::reserve()];
    let balancer = Balancer::start(&gone.each_ref().map(Port::address)).await;
    let answer = balancer.client().get("/.well-known/agent-card.json").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.header("content-type"), "application/json");
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(503), &json!("UNAVAILABLE")));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}});
    let answer = balancer.client().post("/", call.to_string()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    let status = grpc(&balancer).send_message(saying("hello")).await.expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("no API node can be reached"), "{status:?}");
}

/// Sends tasks until `over` is set; every send must return its task.
async fn sender(client: Client, over: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let task = tasks::send(&client, "!chunks 5 20 30; complete").await;
        assert!(!tasks::id(&task).is_empty());
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_with_new_nodes_beside_the_old_ones_shows_no_failure() {
    let mut stack = StackBuilder::new(Mode::Distributed).nodes(4).start().await;
    let balancer = in_front_of(&stack).await;
    let over = Arc::new(AtomicBool::new(false));
    // At first two nodes run, and nothing listens on the two other addresses.
    for node in [2, 3] {
        stack.kill_node(node);
    }
    let senders: Vec<_> = (0..4)
        .map(|_| longhaul_runtime::spawn("sender", sender(balancer.client(), Arc::clone(&over))))
        .collect();
    for node in [2, 3] {
        stack.start_node(node).await;
        // As in the runbook: the balancer learns of the new nodes before the old ones stop.
        let served = format!("\"upstream\":\"{}\"", stack.nodes()[node].address());
        eventually(TASK_TIMEOUT, "the balancer has found the new node", async || {
            let log = balancer.process().stdout();
            let found = log.lines().any(|line| line.contains(&served));
            if found { Ok(()) } else { Err(served.clone()) }
        })
        .await;
    }
    for node in [0, 1] {
        stack.nodes()[node].running().sigterm();
    }
    for node in [0, 1] {
        assert_eq!(stack.nodes()[node].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
    }
    tasks::send(&balancer.client(), "hello").await;
    over.store(true, Ordering::Relaxed);
    let sent = timeout(TASK_TIMEOUT, join_all(senders)).await.expect("the senders end");
    for sent in sent {
        assert!(sent.expect("no send fails") > 0);
    }
}
