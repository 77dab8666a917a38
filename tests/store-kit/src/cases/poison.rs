//! Poison tasks: those that kill their workers are identified, and no others.

use crate::kit::{REAP_ALL, RunWriter, TestClient, working};
use longhaul_domain::{FailureKind, ParkedState, TaskKey, TaskState, TerminalState};
use longhaul_store::{ReapRequest, Reaped, Store};
use std::{sync::Arc, time::Duration};

const THREE: ReapRequest = ReapRequest { max_losses: 3, ..REAP_ALL };

/// Loses the worker of a run; the run must be offered again.
async fn lost(client: &TestClient, run: &RunWriter) {
    client.expire_lease(run.worker).await;
    let offered = Reaped::Offered { key: run.key(), agent: client.agent.clone() };
    assert_eq!(client.reap_until_done_as(THREE).await, [offered]);
}

async fn assert_quarantined(client: &TestClient, run: &RunWriter) {
    client.expire_lease(run.worker).await;
    let failed = Reaped::Failed { key: run.key(), because: FailureKind::Poison };
    assert_eq!(client.reap_until_done_as(THREE).await, [failed]);
    assert_eq!(client.state(run.key()).await, TaskState::Failed);
}

pub async fn a_task_that_kills_its_workers_is_quarantined(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    for losses in 0..2 {
        let mut run = client.claim_one().await;
        assert_eq!((run.claimed.losses, run.claimed.attempt), (losses, 1));
        // Output alone is no progress.
        client.store.append(run.append(vec![working()])).await.unwrap();
        lost(&client, &run).await;
        let queue = client.details(key).await.queue.expect("it waits");
        assert_eq!((queue.running, queue.losses), (false, losses + 1));
    }
    let run = client.claim_one().await;
    assert_quarantined(&client, &run).await;
    let dead = client.store.dead_letter(key).await.unwrap().expect("it is listed");
    assert_eq!((dead.because, dead.attempts, dead.handled), (FailureKind::Poison, 1, None));
    assert!(dead.cause.contains('3'), "{}", dead.cause);
    let worker = client.worker().await;
    assert!(client.claim(worker, 10).await.is_empty());
    assert!(client.store.reap(THREE).await.unwrap().done.is_empty());
}

pub async fn a_checkpoint_resets_losses(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    client.accepted().await;
    for round in 0..3 {
        let first = client.claim_one().await;
        assert_eq!(first.claimed.losses, i32::from(round > 0));
        lost(&client, &first).await;
        let mut second = client.claim_one().await;
        let append = second.checkpoint("step", &round.to_string(), Vec::new());
        client.store.append(append).await.unwrap();
        lost(&client, &second).await;
    }
    // Without progress the count continues: one loss from the round before, two more now.
    let run = client.claim_one().await;
    assert_eq!(run.claimed.losses, 1);
    lost(&client, &run).await;
    assert_quarantined(&client, &client.claim_one().await).await;
}

pub async fn a_settle_resets_losses(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let ways: [fn(&mut RunWriter) -> longhaul_store::Settle; 4] = [
        |run| run.retry(Duration::ZERO),
        RunWriter::release,
        |run| run.end(TerminalState::Completed),
        |run| run.park(ParkedState::InputRequired, "which?"),
    ];
    for settle in ways {
        for _ in 0..2 {
            lost(&client, &client.claim_one().await).await;
        }
        let mut run = client.claim_one().await;
        assert_eq!(run.claimed.losses, 2);
        // The third way is handed back because of an unread message; the fourth has read
        // everything, and is woken.
        let settle = settle(&mut run);
        if matches!(settle.how, longhaul_store::SettleAs::End(_)) {
            client.follow_up(key, "unread").await;
        }
        let parks = matches!(settle.how, longhaul_store::SettleAs::Park(_));
        client.store.settle(settle).await.unwrap();
        if parks {
            client.follow_up(key, "this one").await;
        }
        assert_eq!(client.details(key).await.queue.expect("it waits").losses, 0);
    }
}

pub async fn deregistered_workers_are_no_losses(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key: TaskKey = client.accepted().await;
    for _ in 0..5 {
        let run = client.claim_one().await;
        assert_eq!((run.key(), run.claimed.losses), (key, 0));
        client.store.deregister_worker(run.worker).await.unwrap();
    }
    assert!(client.store.reap(THREE).await.unwrap().done.is_empty());
    assert_eq!(client.state(key).await, TaskState::Submitted);
}

pub async fn a_poison_task_does_not_harm_its_neighbours(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let bad = client.accepted().await;
    for _ in 0..2 {
        lost(&client, &client.claim_one().await).await;
    }
    let good = client.accepted().await;
    let worker = client.worker().await;
    assert_eq!(client.claim(worker, 10).await.len(), 2);
    client.expire_lease(worker).await;
    let mut reaped = Vec::new();
    while reaped.len() < 2 {
        reaped.extend(client.reap_until_done_as(THREE).await);
    }
    assert!(reaped.contains(&Reaped::Failed { key: bad, because: FailureKind::Poison }));
    assert!(reaped.contains(&Reaped::Offered { key: good, agent: client.agent.clone() }));
}

pub async fn suspects_lost_together_are_separated(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let both = [client.accepted().await, client.accepted().await];
    for _ in 0..3 {
        let worker = client.worker().await;
        assert_eq!(client.claim(worker, 10).await.len(), 2);
        client.expire_lease(worker).await;
        let mut offered = 0;
        while offered < 2 {
            let reaped = client.reap_until_done_as(THREE).await;
            assert!(reaped.iter().all(|done| matches!(done, Reaped::Offered { .. })), "{reaped:?}");
            offered += reaped.len();
        }
    }
    // Both have three losses. One restarts first, and is alone when its worker is lost again.
    let first = client.claim_one().await;
    assert_quarantined(&client, &first).await;
    let other = both.into_iter().find(|key| *key != first.key()).expect("there are two");
    let queue = client.details(other).await.queue.expect("it waits");
    assert_eq!((queue.running, queue.losses), (false, 3));
    assert!(queue.run_at > client.now().await, "it waits until the first one has had its time");
}
