//! Tasks that kill their workers: they are found out, and nothing else is.

use super::kit::{REAP, Run, Scene, working};
use crate::{ReapRequest, Reaped, Store};
use longhaul_domain::{FailureKind, ParkedState, TaskKey, TaskState, TerminalState};
use std::{sync::Arc, time::Duration};

const THREE: ReapRequest = ReapRequest { max_losses: 3, ..REAP };

/// Loses the worker of a run; the run must be offered again.
async fn lost(scene: &Scene, run: &Run) {
    scene.loses_its_lease(run.worker).await;
    let offered = Reaped::Offered { key: run.key(), agent: scene.agent.clone() };
    assert_eq!(scene.reaped_as(THREE).await, [offered]);
}

async fn assert_quarantined(scene: &Scene, run: &Run) {
    scene.loses_its_lease(run.worker).await;
    let failed = Reaped::Failed { key: run.key(), because: FailureKind::Poison };
    assert_eq!(scene.reaped_as(THREE).await, [failed]);
    assert_eq!(scene.state(run.key()).await, TaskState::Failed);
}

pub async fn a_task_that_kills_its_workers_is_quarantined(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    for losses in 0..2 {
        let mut run = scene.claim_one().await;
        assert_eq!((run.claimed.losses, run.claimed.attempt), (losses, 1));
        // Mere output is no progress.
        scene.store.append(run.append(vec![working()])).await.unwrap();
        lost(&scene, &run).await;
        let queue = scene.facts(key).await.queue.expect("it waits");
        assert_eq!((queue.running, queue.losses), (false, losses + 1));
    }
    let run = scene.claim_one().await;
    assert_quarantined(&scene, &run).await;
    let dead = scene.store.dead_letter(key).await.unwrap().expect("it is listed");
    assert_eq!((dead.because, dead.attempts, dead.handled), (FailureKind::Poison, 1, None));
    assert!(dead.cause.contains('3'), "{}", dead.cause);
    let worker = scene.worker().await;
    assert!(scene.claim(worker, 10).await.is_empty());
    assert!(scene.store.reap(THREE).await.unwrap().done.is_empty());
}

pub async fn a_checkpoint_begins_the_count_of_losses_anew(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    scene.accepted().await;
    for round in 0..3 {
        let first = scene.claim_one().await;
        assert_eq!(first.claimed.losses, i32::from(round > 0));
        lost(&scene, &first).await;
        let mut second = scene.claim_one().await;
        let append = second.checkpoint("step", &round.to_string(), Vec::new());
        scene.store.append(append).await.unwrap();
        lost(&scene, &second).await;
    }
    // Without progress the count goes on: one from the last round, two more.
    let run = scene.claim_one().await;
    assert_eq!(run.claimed.losses, 1);
    lost(&scene, &run).await;
    assert_quarantined(&scene, &scene.claim_one().await).await;
}

pub async fn a_run_that_settles_begins_the_count_of_losses_anew(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    let ways: [fn(&mut Run) -> crate::Settle; 4] = [
        |run| run.retry(Duration::ZERO),
        Run::release,
        |run| run.end(TerminalState::Completed),
        |run| run.park(ParkedState::InputRequired, "which?"),
    ];
    for settle in ways {
        for _ in 0..2 {
            lost(&scene, &scene.claim_one().await).await;
        }
        let mut run = scene.claim_one().await;
        assert_eq!(run.claimed.losses, 2);
        // The third way is handed back, because there is something unread; the fourth has read everything and is woken.
        let settle = settle(&mut run);
        if matches!(settle.how, crate::SettleAs::End(_)) {
            scene.follow_up(key, "unread").await;
        }
        let parks = matches!(settle.how, crate::SettleAs::Park(_));
        scene.store.settle(settle).await.unwrap();
        if parks {
            scene.follow_up(key, "this one").await;
        }
        assert_eq!(scene.facts(key).await.queue.expect("it waits").losses, 0);
    }
}

pub async fn workers_that_go_in_good_order_are_no_losses(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key: TaskKey = scene.accepted().await;
    for _ in 0..5 {
        let run = scene.claim_one().await;
        assert_eq!((run.key(), run.claimed.losses), (key, 0));
        scene.store.deregister_worker(run.worker).await.unwrap();
    }
    assert!(scene.store.reap(THREE).await.unwrap().done.is_empty());
    assert_eq!(scene.state(key).await, TaskState::Submitted);
}

pub async fn one_poisonous_task_does_not_harm_those_beside_it(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let bad = scene.accepted().await;
    for _ in 0..2 {
        lost(&scene, &scene.claim_one().await).await;
    }
    let good = scene.accepted().await;
    let worker = scene.worker().await;
    assert_eq!(scene.claim(worker, 10).await.len(), 2);
    scene.loses_its_lease(worker).await;
    let mut reaped = Vec::new();
    while reaped.len() < 2 {
        reaped.extend(scene.reaped_as(THREE).await);
    }
    assert!(reaped.contains(&Reaped::Failed { key: bad, because: FailureKind::Poison }));
    assert!(reaped.contains(&Reaped::Offered { key: good, agent: scene.agent.clone() }));
}

pub async fn those_who_are_lost_together_are_told_apart(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let both = [scene.accepted().await, scene.accepted().await];
    for _ in 0..3 {
        let worker = scene.worker().await;
        assert_eq!(scene.claim(worker, 10).await.len(), 2);
        scene.loses_its_lease(worker).await;
        let mut offered = 0;
        while offered < 2 {
            let reaped = scene.reaped_as(THREE).await;
            assert!(reaped.iter().all(|done| matches!(done, Reaped::Offered { .. })), "{reaped:?}");
            offered += reaped.len();
        }
    }
    // Both have been lost three times; one goes first, and is alone when its worker is lost again.
    let first = scene.claim_one().await;
    assert_quarantined(&scene, &first).await;
    let other = both.into_iter().find(|key| *key != first.key()).expect("there are two");
    let queue = scene.facts(other).await.queue.expect("it waits");
    assert_eq!((queue.running, queue.losses), (false, 3));
    assert!(queue.run_at > scene.now().await, "it waits until the first one has had its time");
}
