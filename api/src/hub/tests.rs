use super::*;
use crate::testing::{Node, TEST_TIMEOUT, caller, send};
use longhaul_domain::{TaskId, TaskKey};
use longhaul_wire::SendOutcome;
use tokio::time::timeout;
use uuid::Uuid;

#[tokio::test]
async fn a_subscription_to_a_missing_log_fails() {
    let node = Node::start().await;
    let owner = caller().principal.owner;
    let key = TaskKey { owner, task: TaskId::new(Uuid::from_u128(1)) };
    let mut events = node.service().hub.subscribe(key, Seq(0), Seq(5));
    let ended = timeout(TEST_TIMEOUT, events.next()).await.expect("it does not wait for ever");
    assert!(!ended.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_log_shorter_than_announced_is_read_once_it_grows() {
    let node = Node::start().await;
    let service = node.service();
    let sent = service.send(&caller(), send("m")).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    let mut events = service.hub.subscribe(task.key, Seq(1), Seq(5));
    let mut run = node.claim().await;
    run.append(vec![crate::testing::working()]).await;
    let entries = timeout(TEST_TIMEOUT, events.next()).await.expect("it goes on").unwrap();
    assert_eq!(entries[0].seq, Seq(2));
}
