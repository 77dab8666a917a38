//! Loss of workers: one that is gone is missed after a second, one that returns loses nothing, and
//! a server outage loses none.

use crate::test_store::{LIMIT, REAP_REQUEST, TestStore, append, open, register_worker, status};
use longhaul_domain::{TaskKey, TaskState, WorkerId};
use longhaul_store::{
    AgentSlots, Appended, ClaimRequest, ClaimedRun, HeartbeatReply, Reaped, Store, WorkerStore,
};
use longhaul_store_postgres::PostgresStore;
use longhaul_tests::eventually;
use std::time::{Duration, Instant};

async fn claim(store: &PostgresStore, worker: WorkerId) -> ClaimedRun {
    let slots = vec![AgentSlots::new(crate::test_store::echo_agent(), 1)];
    let request = ClaimRequest { worker, slots, limit: 1 };
    store.claim(request).await.unwrap().pop().unwrap()
}

/// Reaps at the suggested times until the run is offered again.
async fn offered(store: &PostgresStore, key: TaskKey) -> Duration {
    let started = Instant::now();
    loop {
        let reaping = store.reap(REAP_REQUEST).await.unwrap();
        let agent = crate::test_store::echo_agent();
        if reaping.done.contains(&Reaped::Offered { key, agent }) {
            return started.elapsed();
        }
        assert!(started.elapsed() < LIMIT, "it is offered");
        tokio::time::sleep(reaping.again_in).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_a_lost_worker_are_offered_after_a_second_and_not_before() {
    let test = TestStore::new().await;
    let key = test.accept_task().await;
    let other = open(&test.database).await;
    let worker = register_worker(&other, Duration::from_secs(3_600)).await;
    let run = claim(&other, worker).await;
    assert!(test.store.reap(REAP_REQUEST).await.unwrap().done.is_empty());
    // All connections of its process end at once, without a deregistration.
    let dying = Instant::now();
    other.close().await;
    let noticed = offered(&test.store, key).await;
    assert!(dying.elapsed() >= Duration::from_secs(1), "its second was not over: {noticed:?}");
    assert!(noticed < Duration::from_secs(10), "it took {noticed:?}");
    let late = test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert_eq!(late.unwrap(), Appended::Fenced);
    let reply = test.store.heartbeat(worker, LIMIT).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_returns_within_a_second_loses_nothing() {
    let test = TestStore::new().await;
    test.accept_task().await;
    let run = test.claim_one().await;
    let other = open(&test.database).await;
    for _ in 0..3 {
        let broken = test.database.sql(
            "select count(pg_terminate_backend(pid)) from pg_locks
             where locktype = 'advisory' and objsubid = 1 and granted
                and database = (select oid from pg_database where datname = current_database())",
        );
        assert_eq!(broken, "1");
        eventually(LIMIT, "the session is there again", async || {
            assert!(other.reap(REAP_REQUEST).await.unwrap().done.is_empty());
            let here = test.database.sql("select bool_and(present) from worker_life");
            if here == "t" { Ok(()) } else { Err(here) }
        })
        .await;
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(other.reap(REAP_REQUEST).await.unwrap().done.is_empty());
    let output = test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert!(matches!(output.unwrap(), Appended::Now { .. }));
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_reports_without_a_session_is_not_lost() {
    let test = TestStore::new().await;
    test.accept_task().await;
    let run = test.claim_one().await;
    // No session holds its lock, as if none could be opened.
    test.database.sql("update workers set session_key = session_key + 1");
    let other = open(&test.database).await;
    other.reap(REAP_REQUEST).await.unwrap();
    assert_eq!(test.database.sql("select gone_since is not null from workers"), "t");
    test.store.heartbeat(test.worker, LIMIT).await.unwrap();
    let over = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < over {
        let reaping = other.reap(REAP_REQUEST).await.unwrap();
        assert!(reaping.done.is_empty(), "{reaping:?}");
        tokio::time::sleep(reaping.again_in).await;
    }
    let output = test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert!(matches!(output.unwrap(), Appended::Now { .. }));
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deregistered_worker_releases_its_lock_and_an_api_node_has_none() {
    let test = TestStore::new().await;
    let sessions = || {
        test.database.sql(
            "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 1
                and database = (select oid from pg_database where datname = current_database())",
        )
    };
    let api = open(&test.database).await;
    assert_eq!(sessions(), "1");
    test.store.deregister_worker(test.worker).await.unwrap();
    assert_eq!(sessions(), "0");
    register_worker(&test.store, LIMIT).await;
    assert_eq!(sessions(), "1");
    test.store.close().await;
    assert_eq!(sessions(), "0");
    api.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_restart_gives_every_worker_a_full_lease() {
    for how in ["in order", "crash"] {
        let mut test = TestStore::private(&[]).await;
        let key = test.accept_task().await;
        let lease = Duration::from_secs(4);
        let worker = register_worker(&test.store, lease).await;
        let run = claim(&test.store, worker).await;
        assert_eq!(run.key, key);
        // A crash may lose the claim, but not the append after it.
        test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
        tokio::task::block_in_place(|| {
            let server = test.server.as_mut().unwrap();
            if how == "crash" {
                server.stop_immediate();
            } else {
                server.stop_fast();
            }
            // Longer than the lease, during which no renewal was possible.
            std::thread::sleep(lease);
            test.server.as_mut().unwrap().start();
        });
        let back = Instant::now();
        let other = open(&test.database).await;
        let reaping = other.reap(REAP_REQUEST).await.unwrap();
        assert!(reaping.done.is_empty(), "{how}: {reaping:?}");
        // The worker does not renew its lease now, so it expires.
        offered(&other, key).await;
        assert!(
            back.elapsed() + Duration::from_millis(500) >= lease,
            "{how}: {:?}",
            back.elapsed()
        );
        other.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_seen_since_a_server_restart_is_missed_after_a_second_again() {
    let mut test = TestStore::private(&[]).await;
    let key = test.accept_task().await;
    let other = open(&test.database).await;
    let lease = Duration::from_secs(3_600);
    let worker = register_worker(&other, lease).await;
    let run = claim(&other, worker).await;
    other.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    tokio::task::block_in_place(|| {
        let server = test.server.as_mut().unwrap();
        server.stop_fast();
        server.start();
    });
    eventually(LIMIT, "the session is there again", async || {
        // What a look finds while the server is coming up does not matter.
        let _ = test.store.reap(REAP_REQUEST).await;
        let seen = test.database.sql(&format!(
            "select coalesce(bool_and(session_server = identity), false) from workers, server_epoch
             where worker_id = '{}'",
            worker.uuid()
        ));
        if seen == "t" { Ok(()) } else { Err(seen) }
    })
    .await;
    let dying = Instant::now();
    other.close().await;
    offered(&test.store, key).await;
    let took = dying.elapsed();
    assert!(took >= Duration::from_secs(1), "its second was not over: {took:?}");
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reapers_offer_a_lost_run_once() {
    let test = TestStore::new().await;
    let keys = [test.accept_task().await, test.accept_task().await, test.accept_task().await];
    let other = open(&test.database).await;
    let held = test.store.claim(test.request(3)).await.unwrap();
    assert_eq!(held.len(), keys.len());
    test.store.heartbeat(test.worker, Duration::from_millis(1)).await.unwrap();
    let mut offered = Vec::new();
    eventually(LIMIT, "all are offered", async || {
        let (one, two) = tokio::join!(test.store.reap(REAP_REQUEST), other.reap(REAP_REQUEST));
        offered.extend(one.unwrap().done);
        offered.extend(two.unwrap().done);
        if offered.len() >= keys.len() { Ok(()) } else { Err(offered.len()) }
    })
    .await;
    assert!(test.store.reap(REAP_REQUEST).await.unwrap().done.is_empty());
    assert_eq!(offered.len(), keys.len(), "{offered:?}");
    other.close().await;
}
