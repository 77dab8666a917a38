//! Versions: a task may stay with the version of the executor that ran it first.

use super::kit::{Run, Scene};
use crate::{AgentSlots, Store};
use longhaul_domain::ParkedState;
use std::{sync::Arc, time::Duration};

async fn claim(scene: &Scene, version: Option<&str>) -> Option<Run> {
    let worker = scene.worker().await;
    let pinned = version.map(str::to_owned);
    let slots = AgentSlots { pinned, ..AgentSlots::new(scene.agent.clone(), 1) };
    let claimed = scene.claim_as(worker, slots).await.pop();
    claimed.map(|claimed| Run::of(worker, claimed))
}

pub async fn a_pinned_task_stays_with_the_version_that_ran_it(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    scene.accepted().await;
    let mut run = claim(&scene, Some("1.0.0")).await.expect("a new task goes to any version");
    scene.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    assert!(claim(&scene, Some("2.0.0")).await.is_none());
    let mut run = claim(&scene, Some("1.0.0")).await.expect("it waits for its own");
    scene.store.settle(run.release()).await.unwrap();
    assert!(claim(&scene, Some("2.0.0")).await.is_none());
    let run = claim(&scene, Some("1.0.0")).await.expect("it waits for its own");
    scene.loses_its_lease(run.worker).await;
    scene.reaped().await;
    assert!(claim(&scene, Some("2.0.0")).await.is_none());
    assert!(claim(&scene, Some("1.0.0")).await.is_some());
}

pub async fn a_pin_outlives_a_park(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    for _ in 0..2 {
        let mut run = claim(&scene, Some("1.0.0")).await.unwrap();
        scene.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
        scene.follow_up(key, "this one").await;
        assert!(claim(&scene, Some("2.0.0")).await.is_none());
    }
    assert!(claim(&scene, Some("1.0.0")).await.is_some());
}

pub async fn a_task_of_another_version_does_not_hide_those_behind(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let first = scene.accepted().await;
    let mut run = claim(&scene, Some("1.0.0")).await.unwrap();
    scene.store.settle(run.release()).await.unwrap();
    let second = scene.accepted().await;
    assert_eq!(claim(&scene, Some("2.0.0")).await.unwrap().key(), second);
    assert_eq!(claim(&scene, Some("1.0.0")).await.unwrap().key(), first);
}

pub async fn who_does_not_pin_takes_any_run_and_marks_none(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    scene.accepted().await;
    let mut run = claim(&scene, None).await.expect("any run");
    scene.store.settle(run.release()).await.unwrap();
    let mut run = claim(&scene, Some("2.0.0")).await.expect("nothing has marked it");
    scene.store.settle(run.release()).await.unwrap();
    assert!(claim(&scene, None).await.is_some(), "also a marked one");
}
