//! Owners take turns: what one has in the queue is no matter of another's.

use super::kit::{Scene, owner};
use crate::{RunOptions, Store};
use longhaul_domain::OwnerId;
use std::{collections::HashSet, sync::Arc};

/// Owners with as many tasks each.
async fn owners(scene: &Scene, tasks: &[usize]) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (n, tasks) in tasks.iter().enumerate() {
        let owner = owner(&scene.store, &format!("owner {n}")).await;
        let scene = Scene { owner, ..scene.clone() };
        for _ in 0..*tasks {
            scene.accepted().await;
        }
        scenes.push(scene);
    }
    scenes
}

/// The owners of what is handed out, one by one.
async fn turns(scene: &Scene, count: usize) -> Vec<OwnerId> {
    let worker = scene.worker().await;
    let mut turns = Vec::new();
    for _ in 0..count {
        turns.extend(scene.claim(worker, 1).await.iter().map(|claimed| claimed.key.owner));
    }
    turns
}

pub async fn one_owners_backlog_does_not_delay_anothers_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let scenes = owners(&scene, &[300, 1]).await;
    assert!(turns(&scene, 2).await.contains(&scenes[1].owner), "its turn comes at once");
    let late = scenes[1].accepted().await;
    let worker = scene.worker().await;
    let claimed = scene.claim(worker, 2).await;
    assert!(claimed.iter().any(|claimed| claimed.key == late), "also among many at once");
}

pub async fn owners_take_turns_one_by_one(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    owners(&scene, &[4, 4, 4]).await;
    for round in turns(&scene, 12).await.chunks(3) {
        assert_eq!(round.iter().collect::<HashSet<_>>().len(), 3, "{round:?}");
    }
}

pub async fn a_claim_of_many_is_shared_out_evenly(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let scenes = owners(&scene, &[50, 2, 10]).await;
    let worker = scene.worker().await;
    let claimed = scene.claim(worker, 12).await;
    let of = |n: usize| claimed.iter().filter(|c| c.key.owner == scenes[n].owner).count();
    assert_eq!((of(0), of(1), of(2)), (5, 2, 5));
}

pub async fn what_others_leave_is_used(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    owners(&scene, &[9, 1]).await;
    let worker = scene.worker().await;
    assert_eq!(scene.claim(worker, 20).await.len(), 10);
}

pub async fn a_priority_counts_among_the_tasks_of_one_owner_only(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let scenes = owners(&scene, &[0, 1]).await;
    for priority in [90, 100, 95] {
        scenes[0].queued("urgent", RunOptions { priority, ..RunOptions::default() }).await;
    }
    let worker = scene.worker().await;
    let claimed = scene.claim(worker, 2).await;
    let owners: HashSet<_> = claimed.iter().map(|claimed| claimed.key.owner).collect();
    assert_eq!(owners, HashSet::from([scenes[0].owner, scenes[1].owner]));
    let facts = scene.facts(claimed.iter().find(|c| c.key.owner == scenes[0].owner).unwrap().key);
    assert_eq!(facts.await.priority, 100, "of its own tasks the most urgent");
}

pub async fn many_owners_each_get_their_turn(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let scenes = owners(&scene, &[3; 40]).await;
    let worker = scene.worker().await;
    let mut served = HashSet::new();
    for _ in 0..10 {
        served.extend(scene.claim(worker, 4).await.iter().map(|claimed| claimed.key.owner));
    }
    assert_eq!(served.len(), scenes.len(), "forty slots, forty owners");
}
