//! Concurrency limits: they are never exceeded, and no runnable task waits in vain.

use crate::kit::{LONG_LEASE, RunWriter, TestClient, eventually, run_concurrently};
use longhaul_domain::{
    ConcurrencyLimits, ParkedState, TaskKey, TaskState, TerminalState, WorkerId,
};
use longhaul_store::{CancelRequested, RequestCancel, RunOptions, Store};
use std::{collections::HashSet, sync::Arc, time::Duration};

const NONE: ConcurrencyLimits = ConcurrencyLimits::NONE;
const ONE_PER_KEY: ConcurrencyLimits = ConcurrencyLimits { per_key: Some(1), ..NONE };

async fn claim(
    client: &TestClient,
    worker: WorkerId,
    free: u32,
    limits: ConcurrencyLimits,
) -> Vec<RunWriter> {
    let claimed = client.claim_slots(worker, client.slots(free, limits)).await;
    claimed.into_iter().map(|claimed| RunWriter::new(worker, claimed)).collect()
}

fn keyed(key: &str) -> RunOptions {
    RunOptions { concurrency_key: Some(key.to_owned()), ..RunOptions::default() }
}

async fn end(client: &TestClient, run: &mut RunWriter) {
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
}

fn keys(runs: &[RunWriter]) -> HashSet<TaskKey> {
    runs.iter().map(RunWriter::key).collect()
}

pub async fn an_agent_at_its_limit_gets_no_more(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (worker, other) = (client.worker().await, client.worker().await);
    let limits = ConcurrencyLimits { total: Some(2), ..NONE };
    for _ in 0..4 {
        client.accepted().await;
    }
    let mut runs = claim(&client, worker, 10, limits).await;
    assert_eq!(runs.len(), 2);
    assert!(claim(&client, other, 10, limits).await.is_empty(), "the limit is of all workers");
    end(&client, &mut runs[0]).await;
    assert_eq!(claim(&client, other, 10, limits).await.len(), 1);
    let elsewhere = client.for_agent("other");
    elsewhere.accepted().await;
    assert_eq!(claim(&elsewhere, other, 10, limits).await.len(), 1, "the limit is of one agent");
    client.expire_lease(worker).await;
    client.reap_until_done().await;
    assert_eq!(claim(&client, other, 10, limits).await.len(), 1, "a lost worker runs nothing");
}

pub async fn an_owner_at_its_limit_leaves_room_for_others(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let worker = client.worker().await;
    let limits = ConcurrencyLimits { per_owner: Some(1), ..NONE };
    for _ in 0..5 {
        client.accepted().await;
    }
    let mut first = claim(&client, worker, 10, limits).await;
    assert_eq!(first.len(), 1);
    assert!(claim(&client, worker, 10, limits).await.is_empty());
    let theirs = other_owner.accepted().await;
    let second = claim(&client, worker, 10, limits).await;
    assert_eq!(keys(&second), HashSet::from([theirs]));
    end(&client, &mut first[0]).await;
    assert_eq!(claim(&client, worker, 10, limits).await.len(), 1);
}

pub async fn tasks_of_one_key_run_one_after_the_other(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let worker = client.worker().await;
    let mut order = Vec::new();
    for priority in [0, 0, 5] {
        order.push(client.queued("k", RunOptions { priority, ..keyed("k") }).await);
    }
    order.rotate_right(1);
    let others = HashSet::from([client.accepted().await, client.queued("l", keyed("l")).await]);
    let runs = claim(&client, worker, 10, ONE_PER_KEY).await;
    assert_eq!(keys(&runs), others.union(&HashSet::from([order[0]])).copied().collect());
    let mut run = runs.into_iter().find(|run| run.key() == order[0]).unwrap();
    for next in &order[1..] {
        assert!(claim(&client, worker, 10, ONE_PER_KEY).await.is_empty());
        end(&client, &mut run).await;
        run = claim(&client, worker, 10, ONE_PER_KEY).await.remove(0);
        assert_eq!(run.key(), *next, "the highest priority first, then the oldest");
    }
}

pub async fn a_key_is_freed_however_its_run_ends(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for way in 0..6 {
        let key = format!("k{way}");
        client.queued("first", keyed(&key)).await;
        let second = client.queued("second", keyed(&key)).await;
        let (worker, next) = (client.worker().await, client.worker().await);
        let mut run = claim(&client, worker, 10, ONE_PER_KEY).await.remove(0);
        assert!(claim(&client, next, 10, ONE_PER_KEY).await.is_empty(), "the second is held back");
        let cancel = RequestCancel { key: run.key(), grace: Duration::ZERO };
        match way {
            0 => end(&client, &mut run).await,
            1 => {
                let park = run.park(ParkedState::InputRequired, "which?");
                client.store.settle(park).await.unwrap();
            }
            2 => {
                client.store.settle(run.retry(LONG_LEASE)).await.unwrap();
            }
            3 => {
                client.store.request_cancel(cancel).await.unwrap();
                client.reap_until_done().await;
            }
            4 => {
                client
                    .store
                    .request_cancel(RequestCancel { grace: LONG_LEASE, ..cancel })
                    .await
                    .unwrap();
                client.expire_lease(worker).await;
                client.reap_until_done().await;
            }
            _ => {
                client
                    .store
                    .request_cancel(RequestCancel { grace: LONG_LEASE, ..cancel })
                    .await
                    .unwrap();
                client.store.settle(run.release()).await.unwrap();
            }
        }
        let mut runs = claim(&client, next, 10, ONE_PER_KEY).await;
        assert_eq!(keys(&runs), HashSet::from([second]), "way {way}");
        end(&client, &mut runs[0]).await;
    }
}

pub async fn a_released_run_shares_its_key_with_waiting_runs(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let all = HashSet::from([
        client.queued("first", keyed("k")).await,
        client.queued("second", keyed("k")).await,
    ]);
    let worker = client.worker().await;
    let mut run = claim(&client, worker, 10, ONE_PER_KEY).await.remove(0);
    assert!(claim(&client, worker, 10, ONE_PER_KEY).await.is_empty());
    client.expire_lease(worker).await;
    client.reap_until_done().await;
    let worker = client.worker().await;
    let mut done = HashSet::new();
    for _ in 0..2 {
        let mut runs = claim(&client, worker, 10, ONE_PER_KEY).await;
        assert_eq!(runs.len(), 1, "both are there, and one may run");
        done.insert(runs[0].key());
        end(&client, &mut runs[0]).await;
    }
    assert_eq!(done, all);
    let late = client.store.settle(run.release()).await.unwrap();
    assert_eq!(late, longhaul_store::Settled::Ended(TaskState::Completed));
}

pub async fn keys_of_two_owners_are_separate(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let mut all = HashSet::new();
    for client in [&client, &other_owner] {
        all.insert(client.queued("mine", keyed("k")).await);
    }
    let worker = client.worker().await;
    assert_eq!(keys(&claim(&client, worker, 10, ONE_PER_KEY).await), all);
}

pub async fn concurrent_claims_stay_within_limits(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    for n in 0..20 {
        for client in [&client, &other_owner] {
            if n % 2 == 0 {
                client.queued("k", keyed("k")).await;
            } else {
                client.queued("none", RunOptions::default()).await;
            }
        }
    }
    let limits = ConcurrencyLimits { total: Some(7), per_owner: Some(5), per_key: Some(2) };
    let mut workers = Vec::new();
    for _ in 0..6 {
        workers.push(client.worker().await);
    }
    let runs = run_concurrently(workers.into_iter().map(|worker| {
        let client = client.clone();
        async move {
            let mut runs = Vec::new();
            for _ in 0..4 {
                runs.extend(claim(&client, worker, 3, limits).await);
            }
            runs
        }
    }))
    .await
    .concat();
    assert_eq!(runs.len(), 7, "as many as may, no more");
    for owner in [client.owner, other_owner.owner] {
        assert!(runs.iter().filter(|run| run.key().owner == owner).count() <= 5);
        let of_key = runs.iter().filter(|run| {
            run.key().owner == owner
                && run.claimed.opening.as_ref().is_some_and(|said| said.message.text() == "k")
        });
        assert!(of_key.count() <= 2);
    }
    assert_eq!(keys(&runs).len(), 7, "each run went to one worker");
}

pub async fn a_key_is_never_used_by_more_than_its_limit(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..12 {
        client.queued("k", keyed("k")).await;
    }
    let limits = ConcurrencyLimits { per_key: Some(2), ..NONE };
    let running = Arc::new(std::sync::atomic::AtomicI32::new(0));
    let mut workers = Vec::new();
    for _ in 0..5 {
        workers.push(client.worker().await);
    }
    let done = Arc::new(std::sync::atomic::AtomicI32::new(0));
    run_concurrently(workers.into_iter().map(|worker| {
        let (client, running, done) = (client.clone(), Arc::clone(&running), Arc::clone(&done));
        async move {
            use std::sync::atomic::Ordering::SeqCst;
            eventually("everything has run", || async {
                for mut run in claim(&client, worker, 3, limits).await {
                    assert!(running.fetch_add(1, SeqCst) < 2, "two at most");
                    // Decrement before the key is free, so that the next run is not counted beside
                    // this one.
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, SeqCst);
                    end(&client, &mut run).await;
                    done.fetch_add(1, SeqCst);
                }
                done.load(SeqCst) == 12
            })
            .await;
        }
    }))
    .await;
}

pub async fn held_back_runs_do_not_hide_later_runs(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..250 {
        client.queued("k", RunOptions { priority: 50, ..keyed("k") }).await;
    }
    let behind = client.accepted().await;
    let worker = client.worker().await;
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.extend(claim(&client, worker, 5, ONE_PER_KEY).await);
    }
    assert_eq!(runs.len(), 2, "one of the key, and the one behind");
    assert!(keys(&runs).contains(&behind));
}

pub async fn a_task_that_is_held_back_is_canceled_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    client.queued("first", keyed("k")).await;
    let second = client.queued("second", keyed("k")).await;
    let third = client.queued("third", keyed("k")).await;
    let worker = client.worker().await;
    let mut runs = claim(&client, worker, 10, ONE_PER_KEY).await;
    assert_eq!(runs.len(), 1);
    let cancel = RequestCancel { key: second, grace: LONG_LEASE };
    let outcome = client.store.request_cancel(cancel).await.unwrap();
    assert!(matches!(outcome, CancelRequested::Canceled { .. }), "{outcome:?}");
    assert_eq!(client.state(second).await, TaskState::Canceled);
    end(&client, &mut runs[0]).await;
    assert_eq!(keys(&claim(&client, worker, 10, ONE_PER_KEY).await), HashSet::from([third]));
}
