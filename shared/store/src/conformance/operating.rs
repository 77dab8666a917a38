//! What operators see of queues, workers and runs.

use super::{
    kit::{LONG, Scene},
    registry::descriptor,
};
use crate::{HeartbeatReply, HeldDigest, NewWorker, QueueRecord, RequestCancel, RunOptions, Store};
use longhaul_domain::{
    AgentName, ConcurrencyLimits, ParkedState, TaskKey, TerminalState, WorkerId,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

fn later() -> RunOptions {
    RunOptions { delay: LONG, ..RunOptions::default() }
}

fn keyed() -> RunOptions {
    RunOptions { concurrency_key: Some("k".to_owned()), ..RunOptions::default() }
}

/// One running task that holds a key, one held back by it.
async fn held_back(scene: &Scene) -> WorkerId {
    scene.queued("first", keyed()).await;
    scene.queued("second", keyed()).await;
    let worker = scene.worker().await;
    let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
    assert_eq!(scene.claim_as(worker, scene.slots(10, limits)).await.len(), 1);
    worker
}

pub async fn facts_tell_how_a_task_is_run(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let options = RunOptions { priority: 7, ..RunOptions::default() };
    let key = scene.queued("hello", options).await;
    let facts = scene.facts(key).await;
    assert_eq!((facts.priority, facts.deadline), (7, None));
    assert!(!facts.queue.unwrap().running);
    let mut run = scene.claim_one().await;
    let facts = scene.facts(key).await;
    assert_eq!(facts.attempt, 1);
    let queue = facts.queue.unwrap();
    assert_eq!((queue.running, queue.losses), (true, 0));
    scene.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let mut run = scene.claim_one().await;
    assert_eq!(scene.facts(key).await.attempt, 2);
    scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let facts = scene.facts(key).await;
    assert_eq!((facts.attempt, facts.priority, facts.queue), (2, 7, None));
}

pub async fn facts_of_a_task_that_waits_or_never_ran(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (parked, _) = scene.parked().await;
    assert_eq!(scene.facts(parked).await.queue, None);
    let scheduled = scene.queued("later", later()).await;
    let queue = scene.facts(scheduled).await.queue.unwrap();
    assert!(!queue.running);
    assert!(queue.run_at > scene.now().await);
    let cancel = RequestCancel { key: scheduled, grace: LONG };
    scene.store.request_cancel(cancel).await.unwrap();
    let facts = scene.facts(scheduled).await;
    assert_eq!((facts.attempt, facts.queue), (0, None), "it ended without an attempt");
}

pub async fn facts_of_others_are_left_out(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (one, two) = (scene.accepted().await, scene.accepted().await);
    let stolen = TaskKey { owner: scene.stranger().await.owner, task: one.task };
    let facts = scene.store.run_details(vec![one, stolen, two]).await.unwrap();
    assert_eq!(facts.len(), 2);
    assert!(facts.contains_key(&one) && facts.contains_key(&two));
    assert!(scene.store.run_details(Vec::new()).await.unwrap().is_empty());
}

pub async fn the_depth_of_a_queue_is_counted_up_to_a_limit(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    held_back(&scene).await;
    scene.queued("later", later()).await;
    scene.accepted().await;
    stranger.accepted().await;
    stranger.accepted().await;
    let depth = |owner, limit| {
        let scene = scene.clone();
        async move { scene.store.queue_depth(&scene.agent, owner, limit).await.unwrap() }
    };
    assert_eq!(depth(None, 100).await, 5, "held back, scheduled, ready; what runs does not wait");
    assert_eq!(depth(Some(scene.owner), 100).await, 3);
    assert_eq!(depth(Some(stranger.owner), 100).await, 2);
    assert_eq!((depth(None, 4).await, depth(Some(scene.owner), 2).await), (4, 2));
    assert_eq!(scene.store.queue_depth(&scene.for_agent("other").agent, None, 9).await.unwrap(), 0);
}

pub async fn queues_tell_what_waits_and_what_runs(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    held_back(&scene).await;
    scene.queued("later", later()).await;
    scene.accepted().await;
    scene.stranger().await.accepted().await;
    scene.for_agent("other").queued("later", later()).await;
    let idle = descriptor("idle", "1.0.0", "has nothing to do");
    scene.store.register_agents(vec![idle.clone()]).await.unwrap();
    let queues = scene.store.queues().await.unwrap();
    let by_agent: HashMap<AgentName, QueueRecord> =
        queues.into_iter().map(|record| (record.agent.clone(), record)).collect();
    let echo = &by_agent[&scene.agent];
    assert_eq!((echo.ready, echo.scheduled, echo.held_back, echo.running), (2, 1, 1, 1));
    assert!(echo.oldest.is_some_and(|waited| waited < LONG));
    let other = &by_agent[&scene.for_agent("other").agent];
    assert_eq!((other.ready, other.scheduled, other.held_back, other.running), (0, 1, 0, 0));
    assert_eq!(other.oldest, None);
    let idle = &by_agent[&idle.name];
    assert_eq!((idle.ready, idle.scheduled, idle.held_back, idle.running), (0, 0, 0, 0));
}

pub async fn workers_are_listed_with_what_they_hold(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = scene.running().await;
    let idle = scene.worker().await;
    let now = scene.now().await;
    let workers = scene.store.workers().await.unwrap();
    assert_eq!(workers.len(), 2);
    for (id, running) in [(run.worker, 1), (idle, 0)] {
        let record = workers.iter().find(|record| record.id == id).unwrap();
        assert_eq!((record.name.as_str(), record.running), ("host/1", running));
        assert!(record.lease_until > now);
    }
    scene.store.deregister_worker(idle).await.unwrap();
    assert_eq!(scene.store.workers().await.unwrap().len(), 1);
}

pub async fn a_worker_learns_what_it_holds_by_the_books(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let worker = scene.worker().await;
    for _ in 0..3 {
        scene.accepted().await;
    }
    scene.accepted().await;
    let claimed = scene.claim(worker, 3).await;
    let mut expected: Vec<_> = claimed.iter().map(|c| (c.key, c.fence)).collect();
    let mut held = scene.store.held_runs(worker).await.unwrap();
    expected.sort_by_key(|(key, _)| *key);
    held.sort_by_key(|(key, _)| *key);
    assert_eq!(held, expected);
    let reply = scene.store.heartbeat(worker, LONG).await.unwrap();
    let digest = HeldDigest::from_tokens(claimed.iter().map(|claimed| claimed.fence.token));
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: digest });
    for claimed in claimed {
        let mut run = super::kit::Run::of(worker, claimed);
        scene.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
    }
    assert!(scene.store.held_runs(worker).await.unwrap().is_empty());
    let reply = scene.store.heartbeat(worker, LONG).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: HeldDigest::default() });
}

pub async fn a_run_that_its_worker_does_not_know_of_can_be_given_back(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    let worker = scene.worker().await;
    // The answer to this claim is lost.
    let mut run = super::kit::Run::of(worker, scene.claim(worker, 1).await.remove(0));
    let (held, fence) = scene.store.held_runs(worker).await.unwrap().remove(0);
    assert_eq!((held, fence), (key, run.claimed.fence));
    let outcome = scene.store.settle(run.release()).await.unwrap();
    assert!(matches!(outcome, crate::Settled::Now { .. }), "{outcome:?}");
    assert_eq!(scene.claim_one().await.claimed.attempt, 1);
}

pub async fn a_worker_may_be_made_known_again(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = scene.running().await;
    let worker =
        NewWorker { id: run.worker, name: "host/2".to_owned(), agents: Vec::new(), lease: LONG };
    scene.store.register_worker(worker).await.unwrap();
    let workers = scene.store.workers().await.unwrap();
    assert_eq!((workers.len(), workers[0].running), (1, 1), "a repeated call changes nothing else");
}
