//! Jumps of the database's clock.

use crate::test_store::{LIMIT, REAP_REQUEST, TestStore, open, register_worker};
use longhaul_store::{HeartbeatReply, Reaped, Store, WorkerStore};
use longhaul_tests::{Database, Postgres, eventually};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LEASE: Duration = Duration::from_secs(4);

const HOUR: i64 = 3_600;

/// Creates a test store whose worker has a short lease, on a server with an adjustable clock.
async fn test() -> TestStore {
    let server = Postgres::private_with_clock();
    let database = Database::create_on(&server);
    let mut test = TestStore::of(database, Some(server)).await;
    test.worker = register_worker(&test.store, LEASE).await;
    test
}

/// Renews the lease three times per lease length and reaps, for two leases.
async fn live(test: &TestStore) -> Vec<Reaped> {
    let (begin, mut beat, mut lost) = (Instant::now(), Instant::now(), Vec::new());
    while begin.elapsed() < LEASE * 2 {
        if beat.elapsed() >= LEASE / 3 {
            beat = Instant::now();
            let reply = test.store.heartbeat(test.worker, LEASE).await.unwrap();
            assert!(matches!(reply, HeartbeatReply::Renewed { .. }), "{reply:?}");
        }
        lost.extend(test.store.reap(REAP_REQUEST).await.unwrap().done);
        sleep(Duration::from_millis(50)).await;
    }
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_jump_of_an_hour_takes_no_run_from_a_worker() {
    let test = test().await;
    test.accept_task().await;
    let run = test.claim_one().await;
    for shift in [0, HOUR, 0, -HOUR, 0] {
        test.server.as_ref().unwrap().shift_clock(shift);
        assert_eq!(live(&test).await, [], "{shift}");
    }
    let held = test.store.held_runs(test.worker).await.unwrap();
    assert_eq!(held, [(run.key, run.fence)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_worker_is_lost_although_the_clock_was_set_back() {
    let test = test().await;
    test.accept_task().await;
    let run = test.claim_one().await;
    test.server.as_ref().unwrap().shift_clock(-HOUR);
    // Another process reaps; this one keeps its session but does not renew.
    let other = open(&test.database).await;
    eventually(LIMIT, "the run is offered", async || {
        let done = other.reap(REAP_REQUEST).await.map_err(|error| error.to_string())?.done;
        let offered = |one: &Reaped| matches!(one, Reaped::Offered { key, .. } if *key == run.key);
        if done.iter().any(offered) { Ok(()) } else { Err(format!("{done:?}")) }
    })
    .await;
    other.close().await;
}
