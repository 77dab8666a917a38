use super::*;
use crate::testing::{Node, TEST_TIMEOUT, artifact_entry, caller, send, working};
use longhaul_domain::{
    BlobHash, BlobKind, BlobRef, Content, EntryBody, JsonObject, Message, MessageId, Part, Role,
    Seq, TaskState, extension, log::StatusChange,
};
use longhaul_wire::{GetRequest, ListRequest, SendOutcome, SendRequest, SubscribeRequest};
use std::pin::pin;
use tokio::time::timeout;

async fn task(node: &Node) -> Task {
    let sent = node.service().send(&caller(), send("m")).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    *task
}

async fn resumed(node: &Node, task: &Task, cursor: i64) -> EventStream {
    let request = SubscribeRequest { tenant: None, id: TaskRef::Known(task.key.task) };
    node.service().subscribe(&caller(), request, Some(Seq(cursor))).await.unwrap()
}

async fn next(stream: &mut EventStream) -> Option<EventFrame> {
    timeout(TEST_TIMEOUT, stream.next()).await.expect("the stream goes on or ends")
}

fn completed() -> StatusChange {
    StatusChange::to(TaskState::Completed)
}

#[tokio::test]
async fn a_repeated_message_wakes_a_worker_until_its_task_is_done() {
    let mut node = Node::start().await;
    let key = task(&node).await.key;
    task(&node).await;
    for _ in 0..2 {
        assert_eq!(node.wakes.try_recv().expect("a wake-up").task, key);
    }
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    run.end(completed()).await;
    task(&node).await;
    assert!(node.wakes.try_recv().is_err());
}

#[tokio::test]
async fn with_repeats_as_new_messages_only_an_idempotency_key_attaches() {
    let node = Node::with_options(|options| options.attach_repeats = false).await;
    assert_ne!(task(&node).await.key, task(&node).await.key);

    let keyed = async || {
        let mut request = send("m");
        let metadata =
            format!(r#"{{"{}":{{"idempotencyKey":"k"}}}}"#, extension::DURABILITY_EXTENSION);
        request.message.metadata = Some(JsonObject::parse(&metadata).unwrap());
        let sent = node.service().send(&caller(), request).await.unwrap().value;
        let SendOutcome::Task(task) = sent else { panic!("not a task") };
        task.key
    };
    assert_eq!(keyed().await, keyed().await);
}

#[tokio::test]
async fn a_disconnecting_client_does_not_prevent_the_wake_up() {
    let mut node = Node::start().await;
    let (service, caller) = (node.service(), caller());
    // Agents and queues are cached now, so the next send waits for its commit first.
    service.send(&caller, send("first")).await.unwrap();
    node.wakes.recv().await.unwrap();
    {
        let mut sending = pin!(service.send(&caller, send("m")));
        assert!(futures::poll!(sending.as_mut()).is_pending());
    }
    timeout(TEST_TIMEOUT, node.wakes.recv()).await.expect("a wake-up").unwrap();
}

#[tokio::test]
async fn a_stream_with_a_cursor_beyond_the_log_ends_with_its_task() {
    let node = Node::start().await;
    let task = task(&node).await;
    let mut run = node.claim().await;
    let mut far = resumed(&node, &task, 100_000).await;
    let mut near = resumed(&node, &task, 3).await;
    run.append(vec![working(), artifact_entry(Part::text("x"))]).await;
    run.end(completed()).await;
    assert_eq!(next(&mut near).await.unwrap().cursor, Seq(4), "only what is behind the cursor");
    assert!(next(&mut near).await.is_none());
    assert!(next(&mut far).await.is_none());
}

#[tokio::test]
async fn a_stream_ends_at_an_entry_that_cannot_be_encoded() {
    let node = Node::start().await;
    let task = task(&node).await;
    let hash = BlobHash::digest(b"nobody has this");
    let lost = Part::new(Content::Blob(BlobRef { hash, size: 1, kind: BlobKind::Raw }));
    node.claim().await.append(vec![working(), artifact_entry(lost)]).await;
    let mut stream = resumed(&node, &task, 0).await;
    assert_eq!(next(&mut stream).await.unwrap().cursor, Seq(2));
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn a_drain_ends_a_replay() {
    let node = Node::start().await;
    let task = task(&node).await;
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    run.append((0..1_000).map(|_| artifact_entry(Part::text("x"))).collect()).await;
    let mut stream = resumed(&node, &task, 0).await;
    assert_eq!(next(&mut stream).await.unwrap().cursor, Seq(2));
    node.shutdown.drain();
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn a_task_too_large_for_a_response_is_refused_with_advice() {
    let node = Node::with_answers(10_000).await;
    let task = task(&node).await;
    let mut run = node.claim().await;
    run.append(vec![working(), artifact_entry(Part::text("x".repeat(20_000)))]).await;
    let id = TaskRef::Known(task.key.task);
    let get = GetRequest { tenant: None, id, history_length: None };
    let error = node.service().get(&caller(), get).await.unwrap_err();
    assert!(error.to_string().contains("SubscribeToTask"), "{error}");
    let list = ListRequest { include_artifacts: true, ..ListRequest::default() };
    let error = node.service().list(&caller(), list).await.unwrap_err();
    assert!(error.to_string().contains("includeArtifacts"), "{error}");
    let page = node.service().list(&caller(), ListRequest::default()).await.unwrap();
    assert_eq!(page.tasks.len(), 1);
}

#[tokio::test]
async fn a_snapshot_too_large_for_a_response_is_not_read() {
    let node = Node::with_answers(10_000).await;
    let task = task(&node).await;
    let mut run = node.claim().await;
    run.append(vec![working(), artifact_entry(Part::text("x".repeat(20_000)))]).await;
    let service = node.service();
    let (id, caller) = (TaskRef::Known(task.key.task), caller());
    let read = service.budgeted_snapshot(&caller, &id, SnapshotOptions::ALL).await;
    let told = read.unwrap_err().to_string();
    assert!(told.contains("SubscribeToTask"), "{told}");
    let subscribe = SubscribeRequest { tenant: None, id };
    let refused = service.subscribe(&caller, subscribe, None).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), told);
}

#[tokio::test]
async fn without_budget_large_responses_are_rejected_and_small_ones_are_not() {
    let node = Node::start().await;
    let (service, caller) = (node.service(), caller());
    let get = |task: &Task| {
        let id = TaskRef::Known(task.key.task);
        service.get(&caller, GetRequest { tenant: None, id, history_length: None })
    };
    let small = task(&node).await;
    let mut run = node.claim().await;
    let piece = || artifact_entry(Part::text("x".repeat(60_000)));
    run.append(vec![working(), piece()]).await;
    get(&small).await.unwrap();
    let sent = service.send(&caller, send("large")).await.unwrap().value;
    let SendOutcome::Task(large) = sent else { panic!("not a task") };
    let mut run = node.claim().await;
    let more = |n| match piece() {
        EntryBody::Artifact(update) => {
            EntryBody::Artifact(longhaul_domain::ArtifactUpdate { append: n > 0, ..update })
        }
        other => other,
    };
    run.append(vec![working()]).await;
    run.append((0..20).map(more).collect()).await;
    let all = service.response_budget.acquire(u64::MAX).await.unwrap();
    tokio::time::pause();
    let turned_away = get(&large).await.unwrap_err();
    assert!(matches!(turned_away, ProtocolError::Unavailable { .. }), "{turned_away}");
    get(&small).await.unwrap();
    drop(all);
    get(&large).await.unwrap();
}

#[tokio::test]
async fn a_repeated_message_gets_the_direct_reply_again() {
    let node = Node::start().await;
    task(&node).await;
    let says = Message::new(MessageId::new("r").unwrap(), Role::Agent, vec![Part::text("hi")]);
    let mut change = StatusChange::with(TaskState::Completed, Some(says));
    change.direct = true;
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    run.end(change).await;
    let waits = SendRequest { return_immediately: false, ..send("m") };
    let sent = node.service().send(&caller(), waits).await.unwrap().value;
    assert!(matches!(sent, SendOutcome::Message(_)), "{sent:?}");
}
