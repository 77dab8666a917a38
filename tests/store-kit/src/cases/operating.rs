//! Operator views of queues, workers and runs.

use super::registry::descriptor;
use crate::kit::{LONG_LEASE, TestClient};
use longhaul_domain::{
    AgentName, ConcurrencyLimits, ParkedState, TaskKey, TerminalState, WorkerId,
};
use longhaul_store::{
    HeartbeatReply, HeldDigest, NewWorker, QueueRecord, RequestCancel, RunOptions, Store,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

fn later() -> RunOptions {
    RunOptions { delay: LONG_LEASE, ..RunOptions::default() }
}

fn keyed() -> RunOptions {
    RunOptions { concurrency_key: Some("k".to_owned()), ..RunOptions::default() }
}

/// Creates a running task that holds a key, and one held back by it.
async fn held_back(client: &TestClient) -> WorkerId {
    client.queued("first", keyed()).await;
    client.queued("second", keyed()).await;
    let worker = client.worker().await;
    let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
    assert_eq!(client.claim_slots(worker, client.slots(10, limits)).await.len(), 1);
    worker
}

pub async fn run_details_describe_a_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let options = RunOptions { priority: 7, ..RunOptions::default() };
    let key = client.queued("hello", options).await;
    let details = client.details(key).await;
    assert_eq!((details.priority, details.deadline), (7, None));
    assert!(!details.queue.unwrap().running);
    let mut run = client.claim_one().await;
    let details = client.details(key).await;
    assert_eq!(details.attempt, 1);
    let queue = details.queue.unwrap();
    assert_eq!((queue.running, queue.losses), (true, 0));
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let mut run = client.claim_one().await;
    assert_eq!(client.details(key).await.attempt, 2);
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let details = client.details(key).await;
    assert_eq!((details.attempt, details.priority, details.queue), (2, 7, None));
}

pub async fn run_details_of_a_waiting_or_unstarted_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (parked, _) = client.parked().await;
    assert_eq!(client.details(parked).await.queue, None);
    let scheduled = client.queued("later", later()).await;
    let queue = client.details(scheduled).await.queue.unwrap();
    assert!(!queue.running);
    assert!(queue.run_at > client.now().await);
    let cancel = RequestCancel { key: scheduled, grace: LONG_LEASE };
    client.store.request_cancel(cancel).await.unwrap();
    let details = client.details(scheduled).await;
    assert_eq!((details.attempt, details.queue), (0, None), "it ended without an attempt");
}

pub async fn run_details_of_other_owners_are_left_out(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (one, two) = (client.accepted().await, client.accepted().await);
    let stolen = TaskKey { owner: client.other_owner().await.owner, task: one.task };
    let details = client.store.run_details(vec![one, stolen, two]).await.unwrap();
    assert_eq!(details.len(), 2);
    assert!(details.contains_key(&one) && details.contains_key(&two));
    assert!(client.store.run_details(Vec::new()).await.unwrap().is_empty());
}

pub async fn the_depth_of_a_queue_is_counted_up_to_a_limit(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    held_back(&client).await;
    client.queued("later", later()).await;
    client.accepted().await;
    other_owner.accepted().await;
    other_owner.accepted().await;
    let depth = |owner, limit| {
        let client = client.clone();
        async move { client.store.queue_depth(&client.agent, owner, limit).await.unwrap() }
    };
    assert_eq!(
        depth(None, 100).await,
        5,
        "held back, scheduled and ready runs wait; the running one does not"
    );
    assert_eq!(depth(Some(client.owner), 100).await, 3);
    assert_eq!(depth(Some(other_owner.owner), 100).await, 2);
    assert_eq!((depth(None, 4).await, depth(Some(client.owner), 2).await), (4, 2));
    assert_eq!(
        client.store.queue_depth(&client.for_agent("other").agent, None, 9).await.unwrap(),
        0
    );
}

pub async fn queues_list_waiting_and_running_tasks(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    held_back(&client).await;
    client.queued("later", later()).await;
    client.accepted().await;
    client.other_owner().await.accepted().await;
    client.for_agent("other").queued("later", later()).await;
    let idle = descriptor("idle", "1.0.0", "has nothing to do");
    client.store.register_agents(vec![idle.clone()]).await.unwrap();
    let queues = client.store.queues().await.unwrap();
    let by_agent: HashMap<AgentName, QueueRecord> =
        queues.into_iter().map(|record| (record.agent.clone(), record)).collect();
    let echo = &by_agent[&client.agent];
    assert_eq!((echo.ready, echo.scheduled, echo.held_back, echo.running), (2, 1, 1, 1));
    assert!(echo.oldest.is_some_and(|waited| waited < LONG_LEASE));
    let other = &by_agent[&client.for_agent("other").agent];
    assert_eq!((other.ready, other.scheduled, other.held_back, other.running), (0, 1, 0, 0));
    assert_eq!(other.oldest, None);
    let idle = &by_agent[&idle.name];
    assert_eq!((idle.ready, idle.scheduled, idle.held_back, idle.running), (0, 0, 0, 0));
}

pub async fn workers_are_listed_with_their_runs(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = client.running().await;
    let idle = client.worker().await;
    let now = client.now().await;
    let workers = client.store.workers().await.unwrap();
    assert_eq!(workers.len(), 2);
    for (id, running) in [(run.worker, 1), (idle, 0)] {
        let record = workers.iter().find(|record| record.id == id).unwrap();
        assert_eq!((record.name.as_str(), record.running), ("host/1", running));
        assert!(record.lease_until > now);
    }
    client.store.deregister_worker(idle).await.unwrap();
    assert_eq!(client.store.workers().await.unwrap().len(), 1);
}

pub async fn a_worker_learns_its_runs_from_the_store(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let worker = client.worker().await;
    for _ in 0..3 {
        client.accepted().await;
    }
    client.accepted().await;
    let claimed = client.claim(worker, 3).await;
    let mut expected: Vec<_> = claimed.iter().map(|c| (c.key, c.fence)).collect();
    let mut held = client.store.held_runs(worker).await.unwrap();
    expected.sort_by_key(|(key, _)| *key);
    held.sort_by_key(|(key, _)| *key);
    assert_eq!(held, expected);
    let reply = client.store.heartbeat(worker, LONG_LEASE).await.unwrap();
    let digest = HeldDigest::from_tokens(claimed.iter().map(|claimed| claimed.fence.token));
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: digest });
    for claimed in claimed {
        let mut run = crate::kit::RunWriter::new(worker, claimed);
        client.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
    }
    assert!(client.store.held_runs(worker).await.unwrap().is_empty());
    let reply = client.store.heartbeat(worker, LONG_LEASE).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: HeldDigest::default() });
}

pub async fn a_run_unknown_to_its_worker_can_be_released(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let worker = client.worker().await;
    // The answer to this claim is lost.
    let mut run = crate::kit::RunWriter::new(worker, client.claim(worker, 1).await.remove(0));
    let (held, fence) = client.store.held_runs(worker).await.unwrap().remove(0);
    assert_eq!((held, fence), (key, run.claimed.fence));
    let outcome = client.store.settle(run.release()).await.unwrap();
    assert!(matches!(outcome, longhaul_store::Settled::Now { .. }), "{outcome:?}");
    assert_eq!(client.claim_one().await.claimed.attempt, 1);
}

pub async fn a_worker_may_register_again(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = client.running().await;
    let worker = NewWorker {
        id: run.worker,
        name: "host/2".to_owned(),
        agents: Vec::new(),
        lease: LONG_LEASE,
    };
    client.store.register_worker(worker).await.unwrap();
    let workers = client.store.workers().await.unwrap();
    assert_eq!((workers.len(), workers[0].running), (1, 1), "a repeated call changes nothing else");
}
