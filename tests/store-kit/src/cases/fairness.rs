//! Fairness: owners take turns, and the backlog of one does not delay another.

use crate::kit::{TestClient, owner};
use longhaul_domain::OwnerId;
use longhaul_store::{RunOptions, Store};
use std::{collections::HashSet, sync::Arc};

/// Creates owners with these numbers of tasks.
async fn owners(client: &TestClient, tasks: &[usize]) -> Vec<TestClient> {
    let mut scenes = Vec::new();
    for (n, tasks) in tasks.iter().enumerate() {
        let owner = owner(&client.store, &format!("owner {n}")).await;
        let client = TestClient { owner, ..client.clone() };
        for _ in 0..*tasks {
            client.accepted().await;
        }
        scenes.push(client);
    }
    scenes
}

/// Returns the owners of the claimed runs, one by one.
async fn turns(client: &TestClient, count: usize) -> Vec<OwnerId> {
    let worker = client.worker().await;
    let mut turns = Vec::new();
    for _ in 0..count {
        turns.extend(client.claim(worker, 1).await.iter().map(|claimed| claimed.key.owner));
    }
    turns
}

pub async fn one_owners_backlog_does_not_delay_anothers_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let scenes = owners(&client, &[300, 1]).await;
    assert!(turns(&client, 2).await.contains(&scenes[1].owner), "its turn comes at once");
    let late = scenes[1].accepted().await;
    let worker = client.worker().await;
    let claimed = client.claim(worker, 2).await;
    assert!(claimed.iter().any(|claimed| claimed.key == late), "also among many at once");
}

pub async fn owners_take_turns_one_by_one(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    owners(&client, &[4, 4, 4]).await;
    for round in turns(&client, 12).await.chunks(3) {
        assert_eq!(round.iter().collect::<HashSet<_>>().len(), 3, "{round:?}");
    }
}

pub async fn a_large_claim_is_shared_evenly(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let scenes = owners(&client, &[50, 2, 10]).await;
    let worker = client.worker().await;
    let claimed = client.claim(worker, 12).await;
    let of = |n: usize| claimed.iter().filter(|c| c.key.owner == scenes[n].owner).count();
    assert_eq!((of(0), of(1), of(2)), (5, 2, 5));
}

pub async fn capacity_left_by_others_is_used(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    owners(&client, &[9, 1]).await;
    let worker = client.worker().await;
    assert_eq!(client.claim(worker, 20).await.len(), 10);
}

pub async fn a_priority_counts_among_the_tasks_of_one_owner_only(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let scenes = owners(&client, &[0, 1]).await;
    for priority in [90, 100, 95] {
        scenes[0].queued("urgent", RunOptions { priority, ..RunOptions::default() }).await;
    }
    let worker = client.worker().await;
    let claimed = client.claim(worker, 2).await;
    let owners: HashSet<_> = claimed.iter().map(|claimed| claimed.key.owner).collect();
    assert_eq!(owners, HashSet::from([scenes[0].owner, scenes[1].owner]));
    let details =
        client.details(claimed.iter().find(|c| c.key.owner == scenes[0].owner).unwrap().key);
    assert_eq!(details.await.priority, 100, "of its own tasks the most urgent");
}

pub async fn many_owners_each_get_their_turn(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let scenes = owners(&client, &[3; 40]).await;
    let worker = client.worker().await;
    let mut served = HashSet::new();
    for _ in 0..10 {
        served.extend(client.claim(worker, 4).await.iter().map(|claimed| claimed.key.owner));
    }
    assert_eq!(served.len(), scenes.len(), "forty slots, forty owners");
}
