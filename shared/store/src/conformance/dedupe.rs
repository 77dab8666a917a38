//! A repeated message is recognised: one message, one effect.

use super::kit::{Scene, at_once};
use crate::{AcceptFollowUp, AcceptNew, Accepted, DedupeKey, FollowedUp, Store, TaskBudget};
use longhaul_domain::{Seq, TaskId, TaskKey, TerminalState};
use std::sync::Arc;

/// The same request, as a client would send it again: another task id, the same message.
fn again(scene: &Scene, asks: &AcceptNew) -> AcceptNew {
    AcceptNew { key: scene.asks("").key, ..asks.clone() }
}

pub async fn the_same_message_again_attaches_to_its_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let asks = scene.asks("hello");
    scene.create(asks.clone()).await;
    let expected = Accepted::Duplicate { task: asks.key.task, seq: Seq(1) };
    for repeated in [again(&scene, &asks), asks.clone()] {
        assert_eq!(scene.store.accept_new(repeated).await.unwrap(), expected);
    }
    assert_eq!(scene.log(asks.key).await.len(), 1);
}

pub async fn the_same_message_again_attaches_also_when_the_task_has_ended(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let asks = scene.asks("hello");
    scene.create(asks.clone()).await;
    let mut run = scene.claim_one().await;
    scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let outcome = scene.store.accept_new(again(&scene, &asks)).await.unwrap();
    assert_eq!(outcome, Accepted::Duplicate { task: asks.key.task, seq: Seq(1) });
}

pub async fn the_same_message_twenty_times_at_once_makes_one_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let asks = scene.asks("hello");
    let answers = at_once((0..20).map(|_| {
        let (store, asks) = (Arc::clone(&scene.store), again(&scene, &asks));
        async move { (asks.key.task, store.accept_new(asks).await.unwrap()) }
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
    assert_eq!(scene.claim_one().await.key().task, created[0]);
}

pub async fn an_idempotency_key_with_other_content_is_refused(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let keyed = |text: &str| {
        let mut asks = scene.asks(text);
        asks.accept = scene.accept("m", text);
        asks.accept.dedupe =
            DedupeKey::from_idempotency_key(&scene.agent, "k", &asks.accept.message);
        asks
    };
    let first = keyed("pay");
    scene.create(first.clone()).await;
    let outcome = scene.store.accept_new(keyed("pay more")).await.unwrap();
    assert_eq!(outcome, Accepted::KeyReused);
    let outcome = scene.store.accept_new(keyed("pay")).await.unwrap();
    assert_eq!(outcome, Accepted::Duplicate { task: first.key.task, seq: Seq(1) });
    let follow_up = AcceptFollowUp {
        key: first.key,
        accept: keyed("pay less").accept,
        budget: TaskBudget::UNLIMITED,
    };
    let outcome = scene.store.accept_follow_up(follow_up).await.unwrap();
    assert_eq!(outcome, FollowedUp::KeyReused);
}

pub async fn the_same_message_of_two_owners_is_two_messages(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let asks = scene.asks("hello");
    scene.create(asks.clone()).await;
    let theirs = again(&stranger, &asks);
    stranger.create(theirs.clone()).await;
    assert_ne!(theirs.key.task, asks.key.task);
}

pub async fn a_repeated_follow_up_is_appended_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    let says = scene.says(key, "and this");
    let first = scene.store.accept_follow_up(says.clone()).await.unwrap();
    assert!(matches!(first, FollowedUp::Appended { seq: Seq(2), .. }), "{first:?}");
    let duplicate = FollowedUp::Duplicate { task: key.task, seq: Seq(2) };
    assert_eq!(scene.store.accept_follow_up(says.clone()).await.unwrap(), duplicate);
    let mut run = scene.claim_one().await;
    scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(scene.store.accept_follow_up(says).await.unwrap(), duplicate, "ended or not");
    assert_eq!(scene.log(key).await.len(), 4);
}

pub async fn a_repeated_answer_wakes_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, _) = scene.parked().await;
    let says = scene.says(key, "this one");
    let answers = at_once((0..20).map(|_| {
        let (store, says) = (Arc::clone(&scene.store), says.clone());
        async move { store.accept_follow_up(says).await.unwrap() }
    }))
    .await;
    let woken = |a: &&FollowedUp| matches!(a, FollowedUp::Appended { woken: true, .. });
    assert_eq!(answers.iter().filter(woken).count(), 1);
    let duplicate = FollowedUp::Duplicate { task: key.task, seq: Seq(4) };
    assert_eq!(answers.iter().filter(|a| **a == duplicate).count(), 19);
    assert_eq!(scene.log(key).await.len(), 5);
}

pub async fn a_message_sent_again_to_another_task_names_where_it_went(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.accepted().await, scene.accepted().await);
    let says = scene.says(one, "to the first");
    scene.store.accept_follow_up(says.clone()).await.unwrap();
    let elsewhere = AcceptFollowUp { key: other, ..says.clone() };
    let outcome = scene.store.accept_follow_up(elsewhere).await.unwrap();
    assert_eq!(outcome, FollowedUp::Duplicate { task: one.task, seq: Seq(2) });
    let nowhere = TaskKey { task: scene.asks("").key.task, ..one };
    let outcome = scene.store.accept_follow_up(AcceptFollowUp { key: nowhere, ..says }).await;
    assert_eq!(outcome.unwrap(), FollowedUp::Duplicate { task: one.task, seq: Seq(2) });
    assert_eq!(scene.log(other).await.len(), 1);
}
