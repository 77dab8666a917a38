//! Version pinning: a task may stay with the executor version that ran it first.

use crate::kit::{RunWriter, TestClient};
use longhaul_domain::ParkedState;
use longhaul_store::{AgentSlots, Store};
use std::{sync::Arc, time::Duration};

async fn claim(client: &TestClient, version: Option<&str>) -> Option<RunWriter> {
    let worker = client.worker().await;
    let pinned = version.map(str::to_owned);
    let slots = AgentSlots { pinned, ..AgentSlots::new(client.agent.clone(), 1) };
    let claimed = client.claim_slots(worker, slots).await.pop();
    claimed.map(|claimed| RunWriter::new(worker, claimed))
}

pub async fn a_pinned_task_stays_with_the_version_that_ran_it(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    client.accepted().await;
    let mut run = claim(&client, Some("1.0.0")).await.expect("a new task goes to any version");
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    assert!(claim(&client, Some("2.0.0")).await.is_none());
    let mut run = claim(&client, Some("1.0.0")).await.expect("it waits for its own");
    client.store.settle(run.release()).await.unwrap();
    assert!(claim(&client, Some("2.0.0")).await.is_none());
    let run = claim(&client, Some("1.0.0")).await.expect("it waits for its own");
    client.expire_lease(run.worker).await;
    client.reap_until_done().await;
    assert!(claim(&client, Some("2.0.0")).await.is_none());
    assert!(claim(&client, Some("1.0.0")).await.is_some());
}

pub async fn a_pin_outlives_a_park(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    for _ in 0..2 {
        let mut run = claim(&client, Some("1.0.0")).await.unwrap();
        client.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
        client.follow_up(key, "this one").await;
        assert!(claim(&client, Some("2.0.0")).await.is_none());
    }
    assert!(claim(&client, Some("1.0.0")).await.is_some());
}

pub async fn a_task_of_another_version_does_not_hide_later_ones(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let first = client.accepted().await;
    let mut run = claim(&client, Some("1.0.0")).await.unwrap();
    client.store.settle(run.release()).await.unwrap();
    let second = client.accepted().await;
    assert_eq!(claim(&client, Some("2.0.0")).await.unwrap().key(), second);
    assert_eq!(claim(&client, Some("1.0.0")).await.unwrap().key(), first);
}

pub async fn a_worker_without_a_pin_takes_any_run_and_pins_none(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    client.accepted().await;
    let mut run = claim(&client, None).await.expect("any run");
    client.store.settle(run.release()).await.unwrap();
    let mut run = claim(&client, Some("2.0.0")).await.expect("nothing has marked it");
    client.store.settle(run.release()).await.unwrap();
    assert!(claim(&client, None).await.is_some(), "also a marked one");
}
