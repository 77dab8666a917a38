//! Workers that go away: their runs go on elsewhere, and they cannot write one more byte.

use super::kit::{LONG, REAP, Run, Scene, at_once, eventually, uuid, working};
use crate::{Appended, HeartbeatReply, HeldDigest, ReapRequest, Reaped, Settled, Store};
use longhaul_domain::{EntryBody, Note, Seq, TaskKey, TaskState, TerminalState, WorkerId};
use std::{sync::Arc, time::Duration};

fn offered(scene: &Scene, key: TaskKey) -> Reaped {
    Reaped::Offered { key, agent: scene.agent.clone() }
}

pub async fn the_runs_of_a_lost_worker_are_offered_again(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.store.append(run.append(vec![working()])).await.unwrap();
    assert!(scene.reap().await.is_empty(), "its lease is not over");
    scene.loses_its_lease(run.worker).await;
    assert_eq!(scene.reaped().await, [offered(&scene, run.key())]);
    assert!(scene.reap().await.is_empty(), "once");
    let bodies = scene.bodies(run.key()).await;
    assert!(matches!(bodies[2], EntryBody::Note(Note::WorkerLost { .. })), "{bodies:?}");
    assert_eq!(scene.state(run.key()).await, TaskState::Working);
    let next = scene.claim_one().await.claimed;
    assert_eq!((next.key, next.attempt, next.turn), (run.key(), 1, 1), "counts no attempt");
}

pub async fn a_lost_worker_cannot_write(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.store.append(run.append(vec![working()])).await.unwrap();
    let repeated = Run::append(&mut Run { op: 0, ..run.clone() }, vec![working()]);
    scene.loses_its_lease(run.worker).await;
    scene.reaped().await;
    for _ in 0..2 {
        let late = run.append(vec![working()]);
        assert_eq!(scene.store.append(late).await.unwrap(), Appended::Fenced);
        assert_eq!(scene.store.append(repeated.clone()).await.unwrap(), Appended::Fenced);
        let late = run.end(TerminalState::Completed);
        assert_eq!(scene.store.settle(late).await.unwrap(), Settled::Fenced);
        // The second time, somebody else has it.
        let worker = scene.worker().await;
        scene.claim(worker, 1).await;
    }
    let reply = scene.store.heartbeat(run.worker, LONG).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
    assert_eq!(scene.log(run.key()).await.len(), 3);
}

pub async fn a_worker_that_renews_keeps_its_runs(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.loses_its_lease(run.worker).await;
    let reply = scene.store.heartbeat(run.worker, LONG).await.unwrap();
    assert_eq!(
        reply,
        HeartbeatReply::Renewed {
            cancels: Vec::new(),
            held: HeldDigest::from_tokens([run.claimed.fence.token])
        }
    );
    assert!(scene.reap().await.is_empty());
    let outcome = scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(3) });
}

pub async fn an_unknown_worker_is_lost(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let reply = scene.store.heartbeat(WorkerId::new(uuid()), LONG).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
}

pub async fn a_retired_worker_leaves_its_runs_to_others_at_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    let outcome = scene.store.deregister_worker(run.worker).await.unwrap();
    assert_eq!(outcome, [offered(&scene, run.key())]);
    assert!(scene.store.deregister_worker(run.worker).await.unwrap().is_empty());
    let late = run.append(vec![working()]);
    assert_eq!(scene.store.append(late).await.unwrap(), Appended::Fenced);
    assert!(scene.claim(run.worker, 10).await.is_empty(), "it gets no more work");
    let reply = scene.store.heartbeat(run.worker, LONG).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
    let next = scene.claim_one().await.claimed;
    assert_eq!((next.key, next.attempt), (run.key(), 1));
}

pub async fn any_number_of_reapers_offer_each_run_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..30 {
        scene.accepted().await;
    }
    let worker = scene.worker().await;
    let mut held: Vec<TaskKey> = scene.claim(worker, 30).await.iter().map(|c| c.key).collect();
    assert_eq!(held.len(), 30);
    scene.loses_its_lease(worker).await;
    let found = std::sync::Mutex::new(Vec::new());
    eventually("every run is offered", || async {
        let reaped = at_once((0..4).map(|_| {
            let store = Arc::clone(&scene.store);
            async move { store.reap(ReapRequest { limit: 7, ..REAP }).await.unwrap().done }
        }))
        .await;
        assert!(reaped.iter().all(|reaped| reaped.len() <= 7), "at most as many as asked for");
        let mut found = found.lock().unwrap();
        found.extend(reaped.concat());
        found.len() >= 30
    })
    .await;
    let mut keys: Vec<TaskKey> = found
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|reaped| match reaped {
            Reaped::Offered { key, .. } => key,
            other => panic!("nothing else was to be done: {other:?}"),
        })
        .collect();
    keys.sort();
    held.sort();
    assert_eq!(keys, held);
}

pub async fn lost_runs_keep_their_place_behind_none(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = scene.running().await;
    let mut asks = scene.asks("later");
    asks.options.delay = Duration::from_secs(3_600);
    scene.create(asks).await;
    scene.loses_its_lease(run.worker).await;
    scene.reaped().await;
    assert_eq!(scene.claim_one().await.key(), run.key(), "it is due now");
}
