//! Run options and run reports.

use super::*;
use crate::testing::{Node, artifact_entry, caller, send, send_with, working};
use chrono::TimeDelta;
use longhaul_domain::TaskState;
use longhaul_domain::{
    AgentLimits, Message, Part, extension::DURABILITY_EXTENSION, log::StatusChange,
};
use longhaul_wire::{Extensions, GetRequest, ListRequest, SendOutcome, SendRequest, StreamEvent};
use serde_json::Value;

fn activated() -> Caller {
    Caller { extensions: Extensions::read([DURABILITY_EXTENSION]), ..caller() }
}

async fn sent(node: &Node, caller: &Caller, request: SendRequest) -> Result<Task> {
    match node.service().send(caller, request).await?.value {
        SendOutcome::Task(task) => Ok(*task),
        SendOutcome::Message(_) => panic!("not a task"),
    }
}

/// The run report in a task's metadata.
fn facts(task: &Task) -> Option<Value> {
    let facts = task.metadata.as_ref()?.get(DURABILITY_EXTENSION)?;
    Some(facts.to().unwrap())
}

fn violated(error: &ProtocolError) -> String {
    let ProtocolError::InvalidParams(violations) = error else { panic!("{error}") };
    violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>().join(" ")
}

fn follow_up(task: &Task, options: &str) -> SendRequest {
    SendRequest { target: Some(TaskRef::Known(task.key.task)), ..send_with("f", options) }
}

#[tokio::test]
async fn a_full_queue_rejects_new_tasks_and_still_answers_accepted_ones() {
    let limits = AgentLimits { queued: Some(2), ..AgentLimits::default() };
    let node = Node::with_limits(limits).await;
    let first = sent(&node, &caller(), send("a")).await.unwrap();
    sent(&node, &caller(), send("b")).await.unwrap();
    let error = sent(&node, &caller(), send("c")).await.unwrap_err();
    assert!(matches!(error, ProtocolError::ResourceExhausted { .. }), "{error}");
    assert!(error.to_string().contains("2 tasks") && error.retry_after().is_some(), "{error}");
    let again = sent(&node, &caller(), send("a")).await.unwrap();
    assert_eq!(again.key, first.key);
}

#[tokio::test]
async fn an_owners_full_queue_does_not_stop_follow_ups() {
    let limits = AgentLimits { queued_per_owner: Some(1), ..AgentLimits::default() };
    let node = Node::with_limits(limits).await;
    let task = sent(&node, &caller(), send("a")).await.unwrap();
    let error = sent(&node, &caller(), send("b")).await.unwrap_err();
    assert!(error.to_string().contains("your tasks"), "{error}");
    sent(&node, &caller(), follow_up(&task, "{}")).await.unwrap();
}

#[tokio::test]
async fn a_task_for_later_wakes_no_worker_now() {
    let mut node = Node::start().await;
    let later = r#"{"notBefore":"2100-01-01T00:00:00Z","priority":7}"#;
    let task = sent(&node, &activated(), send_with("a", later)).await.unwrap();
    sent(&node, &caller(), send_with("a", later)).await.unwrap();
    assert!(node.wakes.try_recv().is_err());
    let facts = facts(&task).unwrap();
    assert_eq!(facts["queue"], "scheduled");
    assert_eq!(facts["runAt"], "2100-01-01T00:00:00.000Z");
    assert_eq!(facts["priority"], 7);
    assert_eq!(facts.get("queuedMs"), None);
}

#[tokio::test]
async fn run_reports_are_shown_only_with_the_extension() {
    let node = Node::start().await;
    let task = sent(&node, &caller(), send("a")).await.unwrap();
    assert_eq!(task.metadata, None);
    node.clock.advance(TimeDelta::seconds(60));
    let get = || GetRequest { tenant: None, id: task.key.task.into(), history_length: None };
    let shown = facts(&node.service().get(&activated(), get()).await.unwrap()).unwrap();
    assert_eq!(shown["queue"], "queued");
    assert!(shown["queuedMs"].as_u64().unwrap() > 30_000, "{shown}");
    let mut run = node.claim().await;
    let shown = facts(&node.service().get(&activated(), get()).await.unwrap()).unwrap();
    assert_eq!((&shown["queue"], &shown["attempt"]), (&"running".into(), &1.into()));
    run.append(vec![working(), artifact_entry(Part::text("x"))]).await;
    run.end(StatusChange::to(TaskState::Completed)).await;
    let page = node.service().list(&activated(), ListRequest::default()).await.unwrap();
    let shown = facts(&page.tasks[0]).unwrap();
    assert_eq!((shown.get("queue"), &shown["attempt"]), (None, &1.into()));
    let page = node.service().list(&caller(), ListRequest::default()).await.unwrap();
    assert_eq!(page.tasks[0].metadata, None);
}

#[tokio::test]
async fn a_passed_deadline_is_refused_unless_the_message_was_accepted_before() {
    let node = Node::start().await;
    let deadline = (node.clock.now() + TimeDelta::minutes(5)).to_rfc3339();
    let request = || send_with("a", &format!("{{\"deadline\":\"{deadline}\"}}"));
    let task = sent(&node, &activated(), request()).await.unwrap();
    assert!(facts(&task).unwrap()["deadline"].is_string());
    node.clock.advance(TimeDelta::minutes(6));
    let again = sent(&node, &caller(), request()).await.unwrap();
    assert_eq!(again.key, task.key);
    let mut other = request();
    other.message.message_id = longhaul_domain::MessageId::new("other").unwrap();
    let error = sent(&node, &caller(), other).await.unwrap_err();
    assert!(violated(&error).ends_with(".deadline"), "{error}");
}

#[tokio::test]
async fn an_idempotency_key_makes_one_task_for_one_content() {
    let node = Node::start().await;
    let keyed = |id| send_with(id, r#"{"idempotencyKey":"k"}"#);
    let task = sent(&node, &caller(), keyed("a")).await.unwrap();
    assert_eq!(sent(&node, &caller(), keyed("b")).await.unwrap().key, task.key);
    let mut other = keyed("a");
    other.message = Message { parts: vec![Part::text("other")], ..other.message };
    let error = sent(&node, &caller(), other).await.unwrap_err();
    assert!(violated(&error).ends_with(".idempotencyKey"), "{error}");
}

#[tokio::test]
async fn options_of_the_whole_task_are_refused_in_a_follow_up() {
    let node = Node::start().await;
    let task = sent(&node, &caller(), send("a")).await.unwrap();
    let refused = follow_up(&task, r#"{"priority":1,"concurrencyKey":"c"}"#);
    let error = sent(&node, &caller(), refused).await.unwrap_err();
    assert!(error.to_string().contains("is set when the task is created"), "{error}");
    assert!(violated(&error).contains(".priority"), "{error}");
    sent(&node, &caller(), follow_up(&task, r#"{"maxAttempts":2,"timeout":"5s"}"#)).await.unwrap();
}

#[tokio::test]
async fn a_streams_snapshot_has_the_run_report_only_with_the_extension() {
    let node = Node::start().await;
    for (caller, told) in [(activated(), true), (caller(), false)] {
        let mut stream = node.service().stream(&caller, send("a")).await.unwrap();
        let first = stream.next().await.unwrap();
        let Some(StreamEvent::Task(task)) = first.event().map(std::borrow::Cow::into_owned) else {
            panic!("not a snapshot")
        };
        assert_eq!(facts(&task).is_some(), told);
    }
}
