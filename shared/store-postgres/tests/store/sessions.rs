//! Workers that are gone are missed after a second, those that come back lose nothing, and a server that was away is no reason
//! to take anybody for dead.

use crate::scene::{LIMIT, REAP, TestStore, append, open, status, worker_of};
use longhaul_domain::{TaskKey, TaskState, WorkerId};
use longhaul_store::{
    AgentSlots, Appended, ClaimRequest, ClaimedRun, HeartbeatReply, Reaped, Store, WorkerStore,
};
use longhaul_store_postgres::PostgresStore;
use longhaul_tests::eventually;
use std::time::{Duration, Instant};

async fn claim(store: &PostgresStore, worker: WorkerId) -> ClaimedRun {
    let slots = vec![AgentSlots::new(crate::scene::echo(), 1)];
    let request = ClaimRequest { worker, slots, limit: 1 };
    store.claim(request).await.unwrap().pop().unwrap()
}

/// Looks whenever it shall, until a run is offered again.
async fn offered(store: &PostgresStore, key: TaskKey) -> Duration {
    let started = Instant::now();
    loop {
        let reaping = store.reap(REAP).await.unwrap();
        let agent = crate::scene::echo();
        if reaping.done.contains(&Reaped::Offered { key, agent }) {
            return started.elapsed();
        }
        assert!(started.elapsed() < LIMIT, "it is offered");
        tokio::time::sleep(reaping.again_in).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runs_of_a_worker_that_is_gone_are_offered_after_a_second_and_not_before() {
    let scene = TestStore::new().await;
    let key = scene.accepted().await;
    let other = open(&scene.database).await;
    let worker = worker_of(&other, Duration::from_secs(3_600)).await;
    let run = claim(&other, worker).await;
    assert!(scene.store.reap(REAP).await.unwrap().done.is_empty());
    // Everything that its process has ends at once, and nobody says goodbye.
    let dying = Instant::now();
    other.close().await;
    let noticed = offered(&scene.store, key).await;
    assert!(dying.elapsed() >= Duration::from_secs(1), "its second was not over: {noticed:?}");
    assert!(noticed < Duration::from_secs(10), "it took {noticed:?}");
    let late = scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert_eq!(late.unwrap(), Appended::Fenced);
    let reply = scene.store.heartbeat(worker, LIMIT).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_comes_back_within_a_second_loses_nothing() {
    let scene = TestStore::new().await;
    scene.accepted().await;
    let run = scene.claimed().await;
    let other = open(&scene.database).await;
    for _ in 0..3 {
        let broken = scene.database.sql(
            "select count(pg_terminate_backend(pid)) from pg_locks
             where locktype = 'advisory' and objsubid = 1 and granted
                and database = (select oid from pg_database where datname = current_database())",
        );
        assert_eq!(broken, "1");
        eventually(LIMIT, "the session is there again", async || {
            assert!(other.reap(REAP).await.unwrap().done.is_empty());
            let here = scene.database.sql("select bool_and(present) from worker_life");
            if here == "t" { Ok(()) } else { Err(here) }
        })
        .await;
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(other.reap(REAP).await.unwrap().done.is_empty());
    let output = scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert!(matches!(output.unwrap(), Appended::Now { .. }));
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_a_session_that_is_heard_of_is_not_dead() {
    let scene = TestStore::new().await;
    scene.accepted().await;
    let run = scene.claimed().await;
    // Its lock is taken by nobody, as if no session could be made.
    scene.database.sql("update workers set session_key = session_key + 1");
    let other = open(&scene.database).await;
    other.reap(REAP).await.unwrap();
    assert_eq!(scene.database.sql("select gone_since is not null from workers"), "t");
    scene.store.heartbeat(scene.worker, LIMIT).await.unwrap();
    let over = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < over {
        let reaping = other.reap(REAP).await.unwrap();
        assert!(reaping.done.is_empty(), "{reaping:?}");
        tokio::time::sleep(reaping.again_in).await;
    }
    let output = scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert!(matches!(output.unwrap(), Appended::Now { .. }));
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_worker_lets_go_of_its_session_and_an_api_node_has_none() {
    let scene = TestStore::new().await;
    let sessions = || {
        scene.database.sql(
            "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 1
                and database = (select oid from pg_database where datname = current_database())",
        )
    };
    let api = open(&scene.database).await;
    assert_eq!(sessions(), "1");
    scene.store.deregister_worker(scene.worker).await.unwrap();
    assert_eq!(sessions(), "0");
    worker_of(&scene.store, LIMIT).await;
    assert_eq!(sessions(), "1");
    scene.store.close().await;
    assert_eq!(sessions(), "0");
    api.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_gives_everybody_a_full_lease() {
    for how in ["in order", "crash"] {
        let mut scene = TestStore::private(&[]).await;
        let key = scene.accepted().await;
        let lease = Duration::from_secs(4);
        let worker = worker_of(&scene.store, lease).await;
        let run = claim(&scene.store, worker).await;
        assert_eq!(run.key, key);
        // A crash may forget the claim, but not what was written behind it.
        scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
        tokio::task::block_in_place(|| {
            let server = scene.server.as_mut().unwrap();
            if how == "crash" {
                server.stop_immediate();
            } else {
                server.stop_fast();
            }
            // Longer than the lease: nobody could renew it.
            std::thread::sleep(lease);
            scene.server.as_mut().unwrap().start();
        });
        let back = Instant::now();
        let other = open(&scene.database).await;
        let reaping = other.reap(REAP).await.unwrap();
        assert!(reaping.done.is_empty(), "{how}: {reaping:?}");
        // It does not renew it now, and that ends it.
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
async fn a_worker_that_came_back_with_the_server_is_missed_after_a_second_again() {
    let mut scene = TestStore::private(&[]).await;
    let key = scene.accepted().await;
    let other = open(&scene.database).await;
    let lease = Duration::from_secs(3_600);
    let worker = worker_of(&other, lease).await;
    let run = claim(&other, worker).await;
    other.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    tokio::task::block_in_place(|| {
        let server = scene.server.as_mut().unwrap();
        server.stop_fast();
        server.start();
    });
    eventually(LIMIT, "the session is there again", async || {
        // What a look finds while the server is coming up does not matter.
        let _ = scene.store.reap(REAP).await;
        let seen = scene.database.sql(&format!(
            "select coalesce(bool_and(session_server = identity), false) from workers, server_epoch
             where worker_id = '{}'",
            worker.uuid()
        ));
        if seen == "t" { Ok(()) } else { Err(seen) }
    })
    .await;
    let dying = Instant::now();
    other.close().await;
    offered(&scene.store, key).await;
    let took = dying.elapsed();
    assert!(took >= Duration::from_secs(1), "its second was not over: {took:?}");
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reapers_offer_a_lost_run_once() {
    let scene = TestStore::new().await;
    let keys = [scene.accepted().await, scene.accepted().await, scene.accepted().await];
    let other = open(&scene.database).await;
    let held = scene.store.claim(scene.request(3)).await.unwrap();
    assert_eq!(held.len(), keys.len());
    scene.store.heartbeat(scene.worker, Duration::from_millis(1)).await.unwrap();
    let mut offered = Vec::new();
    eventually(LIMIT, "all are offered", async || {
        let (one, two) = tokio::join!(scene.store.reap(REAP), other.reap(REAP));
        offered.extend(one.unwrap().done);
        offered.extend(two.unwrap().done);
        if offered.len() >= keys.len() { Ok(()) } else { Err(offered.len()) }
    })
    .await;
    assert!(scene.store.reap(REAP).await.unwrap().done.is_empty());
    assert_eq!(offered.len(), keys.len(), "{offered:?}");
    other.close().await;
}
