//! Deduplication: a repeated message has one effect.

use crate::kit::{TestClient, run_concurrently};
use longhaul_domain::{Seq, TaskId, TaskKey, TerminalState};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, DedupeKey, FollowedUp, MessageLookup, Store, TaskBudget,
};
use std::sync::Arc;

/// Returns the same request as a client would repeat it: the same message with another task id.
fn again(client: &TestClient, new_request: &AcceptNew) -> AcceptNew {
    AcceptNew { key: client.new_request("").key, ..new_request.clone() }
}

pub async fn the_same_message_again_attaches_to_its_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let new_request = client.new_request("hello");
    client.create(new_request.clone()).await;
    let expected = Accepted::Duplicate { task: new_request.key.task, seq: Seq(1) };
    for repeated in [again(&client, &new_request), new_request.clone()] {
        assert_eq!(client.store.accept_new(repeated).await.unwrap(), expected);
    }
    assert_eq!(client.log(new_request.key).await.len(), 1);
}

pub async fn the_same_message_again_attaches_also_when_the_task_has_ended(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let new_request = client.new_request("hello");
    client.create(new_request.clone()).await;
    let mut run = client.claim_one().await;
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let outcome = client.store.accept_new(again(&client, &new_request)).await.unwrap();
    assert_eq!(outcome, Accepted::Duplicate { task: new_request.key.task, seq: Seq(1) });
}

pub async fn twenty_concurrent_copies_of_a_message_create_one_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let new_request = client.new_request("hello");
    let answers = run_concurrently((0..20).map(|_| {
        let (store, new_request) = (Arc::clone(&client.store), again(&client, &new_request));
        async move { (new_request.key.task, store.accept_new(new_request).await.unwrap()) }
    }))
    .await;
    let created: Vec<TaskId> = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Accepted::Created { .. }))
        .map(|(task, _)| *task)
        .collect();
    assert_eq!(created.len(), 1);
    let duplicate = Accepted::Duplicate { task: created[0], seq: Seq(1) };
    assert_eq!(answers.iter().filter(|(_, answer)| *answer == duplicate).count(), 19);
    assert_eq!(client.claim_one().await.key().task, created[0]);
}

pub async fn an_idempotency_key_with_other_content_is_refused(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let keyed = |text: &str| {
        let mut new_request = client.new_request(text);
        new_request.accept = client.accept("m", text);
        new_request.accept.dedupe =
            DedupeKey::from_idempotency_key(&client.agent, "k", &new_request.accept.message);
        new_request
    };
    let first = keyed("pay");
    client.create(first.clone()).await;
    let outcome = client.store.accept_new(keyed("pay more")).await.unwrap();
    assert_eq!(outcome, Accepted::KeyReused);
    let outcome = client.store.accept_new(keyed("pay")).await.unwrap();
    assert_eq!(outcome, Accepted::Duplicate { task: first.key.task, seq: Seq(1) });
    let follow_up = AcceptFollowUp {
        key: first.key,
        accept: keyed("pay less").accept,
        budget: TaskBudget::UNLIMITED,
    };
    let outcome = client.store.accept_follow_up(follow_up).await.unwrap();
    assert_eq!(outcome, FollowedUp::KeyReused);
}

pub async fn the_same_message_of_two_owners_is_two_messages(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let new_request = client.new_request("hello");
    client.create(new_request.clone()).await;
    let theirs = again(&other_owner, &new_request);
    other_owner.create(theirs.clone()).await;
    assert_ne!(theirs.key.task, new_request.key.task);
}

pub async fn a_repeated_follow_up_is_appended_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let follow_up = client.new_follow_up(key, "and this");
    let first = client.store.accept_follow_up(follow_up.clone()).await.unwrap();
    assert!(matches!(first, FollowedUp::Appended { seq: Seq(2), .. }), "{first:?}");
    let duplicate = FollowedUp::Duplicate { task: key.task, seq: Seq(2) };
    assert_eq!(client.store.accept_follow_up(follow_up.clone()).await.unwrap(), duplicate);
    let mut run = client.claim_one().await;
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(client.store.accept_follow_up(follow_up).await.unwrap(), duplicate, "ended or not");
    assert_eq!(client.log(key).await.len(), 4);
}

pub async fn a_repeated_answer_wakes_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, _) = client.parked().await;
    let follow_up = client.new_follow_up(key, "this one");
    let answers = run_concurrently((0..20).map(|_| {
        let (store, follow_up) = (Arc::clone(&client.store), follow_up.clone());
        async move { store.accept_follow_up(follow_up).await.unwrap() }
    }))
    .await;
    let woken = |a: &&FollowedUp| matches!(a, FollowedUp::Appended { woken: true, .. });
    assert_eq!(answers.iter().filter(woken).count(), 1);
    let duplicate = FollowedUp::Duplicate { task: key.task, seq: Seq(4) };
    assert_eq!(answers.iter().filter(|a| **a == duplicate).count(), 19);
    assert_eq!(client.log(key).await.len(), 5);
}

pub async fn a_message_repeated_to_another_task_names_its_first_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (one, other) = (client.accepted().await, client.accepted().await);
    let follow_up = client.new_follow_up(one, "to the first");
    client.store.accept_follow_up(follow_up.clone()).await.unwrap();
    let elsewhere = AcceptFollowUp { key: other, ..follow_up.clone() };
    let outcome = client.store.accept_follow_up(elsewhere).await.unwrap();
    assert_eq!(outcome, FollowedUp::Duplicate { task: one.task, seq: Seq(2) });
    let nowhere = TaskKey { task: client.new_request("").key.task, ..one };
    let outcome = client.store.accept_follow_up(AcceptFollowUp { key: nowhere, ..follow_up }).await;
    assert_eq!(outcome.unwrap(), FollowedUp::Duplicate { task: one.task, seq: Seq(2) });
    assert_eq!(client.log(other).await.len(), 1);
}

pub async fn a_message_is_found_by_its_key(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let request = client.new_request("hello");
    let (owner, dedupe) = (client.owner, request.accept.dedupe);
    let find = |owner, dedupe| client.store.find_message(owner, dedupe);
    assert_eq!(find(owner, dedupe).await.unwrap(), MessageLookup::Unknown);
    client.create(request.clone()).await;
    let found = MessageLookup::Duplicate { task: request.key.task, seq: Seq(1) };
    assert_eq!(find(owner, dedupe).await.unwrap(), found);
    let stranger = client.other_owner().await.owner;
    assert_eq!(find(stranger, dedupe).await.unwrap(), MessageLookup::Unknown);
    let changed = DedupeKey { content: [0; 32], ..dedupe };
    assert_eq!(find(owner, changed).await.unwrap(), MessageLookup::KeyReused);
    let follow_up = client.new_follow_up(request.key, "more");
    client.store.accept_follow_up(follow_up.clone()).await.unwrap();
    let found = MessageLookup::Duplicate { task: request.key.task, seq: Seq(2) };
    assert_eq!(find(owner, follow_up.accept.dedupe).await.unwrap(), found);
    assert_eq!(client.log(request.key).await.len(), 2, "a lookup writes nothing");
}
