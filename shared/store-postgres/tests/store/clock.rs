//! The database's clock is put forward and back.

use crate::scene::{LIMIT, REAP, TestStore, open, worker_of};
use longhaul_store::{HeartbeatReply, Reaped, Store, WorkerStore};
use longhaul_tests::{Database, Postgres, eventually};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LEASE: Duration = Duration::from_secs(4);

const HOUR: i64 = 3_600;

/// A scene whose worker has a short lease, on a server whose clock can be put.
async fn scene() -> TestStore {
    let server = Postgres::private_with_clock();
    let database = Database::create_on(&server);
    let mut scene = TestStore::of(database, Some(server)).await;
    scene.worker = worker_of(&scene.store, LEASE).await;
    scene
}

/// Renews a lease three times in its length and looks for what is lost, for two leases.
async fn live(scene: &TestStore) -> Vec<Reaped> {
    let (begin, mut beat, mut lost) = (Instant::now(), Instant::now(), Vec::new());
    while begin.elapsed() < LEASE * 2 {
        if beat.elapsed() >= LEASE / 3 {
            beat = Instant::now();
            let reply = scene.store.heartbeat(scene.worker, LEASE).await.unwrap();
            assert!(matches!(reply, HeartbeatReply::Renewed { .. }), "{reply:?}");
        }
        lost.extend(scene.store.reap(REAP).await.unwrap().done);
        sleep(Duration::from_millis(50)).await;
    }
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_put_an_hour_either_way_takes_no_run_from_a_worker() {
    let scene = scene().await;
    scene.accepted().await;
    let run = scene.claimed().await;
    for shift in [0, HOUR, 0, -HOUR, 0] {
        scene.server.as_ref().unwrap().shift_clock(shift);
        assert_eq!(live(&scene).await, [], "{shift}");
    }
    let held = scene.store.held_runs(scene.worker).await.unwrap();
    assert_eq!(held, [(run.key, run.fence)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_is_lost_though_the_clock_was_put_back() {
    let scene = scene().await;
    scene.accepted().await;
    let run = scene.claimed().await;
    scene.server.as_ref().unwrap().shift_clock(-HOUR);
    // Another process looks; this one keeps its session and says nothing.
    let other = open(&scene.database).await;
    eventually(LIMIT, "the run is offered", async || {
        let done = other.reap(REAP).await.map_err(|error| error.to_string())?.done;
        let offered = |one: &Reaped| matches!(one, Reaped::Offered { key, .. } if *key == run.key);
        if done.iter().any(offered) { Ok(()) } else { Err(format!("{done:?}")) }
    })
    .await;
    other.close().await;
}
