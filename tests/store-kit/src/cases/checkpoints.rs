//! Checkpoints: available to every later attempt, and committed together with their output.

use crate::kit::{RunWriter, TestClient, chunk, status, working};
use longhaul_domain::{CheckpointName, ParkedState, Seq, TaskKey, TaskState, TerminalState};
use longhaul_store::{Appended, FollowedUp, Settled, Store, StoreError};
use std::{sync::Arc, time::Duration};

/// Returns the text of a checkpoint.
async fn kept(client: &TestClient, key: TaskKey, name: &str) -> Option<String> {
    let name = CheckpointName::new(name).unwrap();
    let value = client.store.read_checkpoint(key, &name).await.unwrap();
    value.map(|value| value.as_str().to_owned())
}

pub async fn a_checkpoint_is_there_for_the_next_attempt(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    assert!(!run.claimed.has_checkpoints);
    assert_eq!(kept(&client, run.key(), "ocr").await, None);
    let append = run.checkpoint("ocr", r#"{"pages":7}"#, vec![working()]);
    assert_eq!(client.store.append(append).await.unwrap(), Appended::Now { last: Seq(2) });
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let next = client.claim_one().await.claimed;
    assert!(next.has_checkpoints);
    assert_eq!(next.attempt, 2);
    assert_eq!(kept(&client, run.key(), "ocr").await.unwrap(), r#"{"pages":7}"#);
    assert_eq!(kept(&client, run.key(), "other").await, None);
}

pub async fn a_checkpoint_and_its_output_are_committed_together(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let bad = run.checkpoint("a", "1", vec![working(), status(TaskState::Submitted, "no")]);
    let outcome = client.store.append(bad).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    let mut stale = run.checkpoint("a", "2", vec![working()]);
    stale.fence.token = uuid::Uuid::nil();
    assert_eq!(client.store.append(stale).await.unwrap(), Appended::Fenced);
    assert_eq!(kept(&client, run.key(), "a").await, None);
    assert_eq!(client.log(run.key()).await.len(), 1);
    let good = run.checkpoint("a", "3", vec![working(), chunk("page", "text", false)]);
    assert_eq!(client.store.append(good).await.unwrap(), Appended::Now { last: Seq(3) });
    assert_eq!(kept(&client, run.key(), "a").await.unwrap(), "3");
    assert_eq!(client.task(run.key()).await.artifacts.len(), 1);
}

pub async fn a_checkpoint_needs_no_output(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let append = run.checkpoint("a", "null", Vec::new());
    let outcome = client.store.append(append.clone()).await.unwrap();
    assert_eq!(outcome, Appended::Now { last: Seq(1) });
    let outcome = client.store.append(append).await.unwrap();
    assert_eq!(outcome, Appended::Already { last: Seq(1) });
    assert_eq!(kept(&client, run.key(), "a").await.unwrap(), "null");
    let outcome = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(3) });
}

pub async fn a_later_checkpoint_replaces_an_earlier_one_of_its_name(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let first = run.checkpoint("a", "1", Vec::new());
    let mut second = run.checkpoint("a", "2", Vec::new());
    second.checkpoints.extend(run.clone().checkpoint("b", "3", Vec::new()).checkpoints);
    client.store.append(first.clone()).await.unwrap();
    client.store.append(second).await.unwrap();
    assert!(matches!(client.store.append(first).await.unwrap(), Appended::Already { .. }));
    assert_eq!(kept(&client, run.key(), "a").await.unwrap(), "2", "a repeat does not come again");
    assert_eq!(kept(&client, run.key(), "b").await.unwrap(), "3");
}

pub async fn a_settle_keeps_its_checkpoints_however_the_run_ends(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let ways: [fn(&mut RunWriter) -> longhaul_store::Settle; 4] = [
        |run| run.end(TerminalState::Completed),
        |run| run.park(ParkedState::InputRequired, "which?"),
        |run| run.retry(Duration::from_secs(3_600)),
        |run| run.settle(longhaul_store::SettleAs::Release, Vec::new()),
    ];
    for settle in ways {
        let mut run = client.running().await;
        let checkpoints = run.clone().checkpoint("a", "1", Vec::new()).checkpoints;
        let mut settle = settle(&mut run);
        settle.output.checkpoints = checkpoints;
        let how = settle.how.clone();
        let outcome = client.store.settle(settle).await.unwrap();
        assert!(matches!(outcome, Settled::Now { .. }), "{outcome:?}");
        assert_eq!(kept(&client, run.key(), "a").await.unwrap(), "1", "{how:?}");
        client.claim(run.worker, 10).await;
    }
}

pub async fn an_end_that_is_handed_back_keeps_its_checkpoints(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let unread = client.follow_up(run.key(), "and this").await;
    assert!(matches!(unread, FollowedUp::Appended { .. }));
    let checkpoints = run.clone().checkpoint("a", "1", Vec::new()).checkpoints;
    let mut settle = run.end(TerminalState::Completed);
    settle.output.checkpoints = checkpoints;
    let outcome = client.store.settle(settle).await.unwrap();
    assert!(matches!(outcome, Settled::HandedBack { .. }), "{outcome:?}");
    assert_eq!(kept(&client, run.key(), "a").await.unwrap(), "1");
    assert!(client.claim_one().await.claimed.has_checkpoints);
}

pub async fn checkpoints_belong_to_their_task_and_outlive_its_turns(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let key = run.key();
    client.store.append(run.checkpoint("a", "1", Vec::new())).await.unwrap();
    client.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
    client.follow_up(key, "this one").await;
    let mut run = client.claim_one().await;
    assert!(run.claimed.has_checkpoints, "a turn later");
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(kept(&client, key, "a").await.unwrap(), "1", "after the end");
    let other = client.running().await;
    assert!(!other.claimed.has_checkpoints);
    assert_eq!(kept(&client, other.key(), "a").await, None);
    let stolen = TaskKey { owner: client.other_owner().await.owner, task: key.task };
    assert_eq!(kept(&client, stolen, "a").await, None);
}
