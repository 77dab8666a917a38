//! Lost workers: their runs continue elsewhere, and they cannot write one more byte.

use crate::kit::{
    LONG_LEASE, REAP_ALL, RunWriter, TestClient, eventually, run_concurrently, uuid, working,
};
use longhaul_domain::{EntryBody, Note, Seq, TaskKey, TaskState, TerminalState, WorkerId};
use longhaul_store::{Appended, HeartbeatReply, HeldDigest, ReapRequest, Reaped, Settled, Store};
use std::{sync::Arc, time::Duration};

fn offered(client: &TestClient, key: TaskKey) -> Reaped {
    Reaped::Offered { key, agent: client.agent.clone() }
}

pub async fn the_runs_of_a_lost_worker_are_offered_again(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.append(run.append(vec![working()])).await.unwrap();
    assert!(client.reap().await.is_empty(), "its lease is not over");
    client.expire_lease(run.worker).await;
    assert_eq!(client.reap_until_done().await, [offered(&client, run.key())]);
    assert!(client.reap().await.is_empty(), "once");
    let bodies = client.bodies(run.key()).await;
    assert!(matches!(bodies[2], EntryBody::Note(Note::WorkerLost { .. })), "{bodies:?}");
    assert_eq!(client.state(run.key()).await, TaskState::Working);
    let next = client.claim_one().await.claimed;
    assert_eq!((next.key, next.attempt, next.turn), (run.key(), 1, 1), "counts no attempt");
}

pub async fn a_lost_worker_cannot_write(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.append(run.append(vec![working()])).await.unwrap();
    let repeated = RunWriter::append(&mut RunWriter { op: 0, ..run.clone() }, vec![working()]);
    client.expire_lease(run.worker).await;
    client.reap_until_done().await;
    for _ in 0..2 {
        let late = run.append(vec![working()]);
        assert_eq!(client.store.append(late).await.unwrap(), Appended::Fenced);
        assert_eq!(client.store.append(repeated.clone()).await.unwrap(), Appended::Fenced);
        let late = run.end(TerminalState::Completed);
        assert_eq!(client.store.settle(late).await.unwrap(), Settled::Fenced);
        // By the second round another worker holds the run.
        let worker = client.worker().await;
        client.claim(worker, 1).await;
    }
    let reply = client.store.heartbeat(run.worker, LONG_LEASE).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
    assert_eq!(client.log(run.key()).await.len(), 3);
}

pub async fn a_worker_that_renews_keeps_its_runs(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.expire_lease(run.worker).await;
    let reply = client.store.heartbeat(run.worker, LONG_LEASE).await.unwrap();
    assert_eq!(
        reply,
        HeartbeatReply::Renewed {
            cancels: Vec::new(),
            held: HeldDigest::from_tokens([run.claimed.fence.token])
        }
    );
    assert!(client.reap().await.is_empty());
    let outcome = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(3) });
}

pub async fn an_unknown_worker_is_lost(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let reply = client.store.heartbeat(WorkerId::new(uuid()), LONG_LEASE).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
}

pub async fn a_deregistered_worker_releases_its_runs_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let outcome = client.store.deregister_worker(run.worker).await.unwrap();
    assert_eq!(outcome, [offered(&client, run.key())]);
    assert!(client.store.deregister_worker(run.worker).await.unwrap().is_empty());
    let late = run.append(vec![working()]);
    assert_eq!(client.store.append(late).await.unwrap(), Appended::Fenced);
    assert!(client.claim(run.worker, 10).await.is_empty(), "it gets no more work");
    let reply = client.store.heartbeat(run.worker, LONG_LEASE).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
    let next = client.claim_one().await.claimed;
    assert_eq!((next.key, next.attempt), (run.key(), 1));
}

pub async fn any_number_of_reapers_offer_each_run_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..30 {
        client.accepted().await;
    }
    let worker = client.worker().await;
    let mut held: Vec<TaskKey> = client.claim(worker, 30).await.iter().map(|c| c.key).collect();
    assert_eq!(held.len(), 30);
    client.expire_lease(worker).await;
    let found = std::sync::Mutex::new(Vec::new());
    eventually("every run is offered", || async {
        let reaped = run_concurrently((0..4).map(|_| {
            let store = Arc::clone(&client.store);
            async move { store.reap(ReapRequest { limit: 7, ..REAP_ALL }).await.unwrap().done }
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
    let client = TestClient::new(store).await;
    let run = client.running().await;
    let mut new_request = client.new_request("later");
    new_request.options.delay = Duration::from_secs(3_600);
    client.create(new_request).await;
    client.expire_lease(run.worker).await;
    client.reap_until_done().await;
    assert_eq!(client.claim_one().await.key(), run.key(), "it is due now");
}
