//! A pooler between the store and its database works where it keeps sessions, and is refused where it does not.

use crate::scene::{
    LIMIT, REAP, TestStore, append, asks, complete, follow, open_at, status, worker_of,
};
use futures::StreamExt;
use longhaul_domain::TaskState;
use longhaul_runtime::SystemIds;
use longhaul_store::{IntakeStore, LogSignal, Settled, SignalSource, StoreError, WorkerStore};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_tests::{Database, PgBouncer, PoolMode, psql::psql};
use std::sync::Arc;

fn options(database: &Database, mode: PoolMode) -> (PgBouncer, PostgresOptions) {
    let bouncer = PgBouncer::before(database.server_address(), database.name(), mode);
    let url = database.url_through(&bouncer.address());
    let options =
        PostgresOptions { max_connections: 4, start_timeout: LIMIT, ..PostgresOptions::new(url) };
    (bouncer, options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_keeps_sessions_is_as_good_as_the_server() {
    let database = Database::create();
    let (_bouncer, options) = options(&database, PoolMode::Session);
    PostgresStore::migrate(options.url.clone(), LIMIT).await.unwrap();
    let store = open_at(options.clone()).await;
    let other = open_at(options).await;
    let mut signals = other.log_signals().await.unwrap();
    let worker = worker_of(&store, LIMIT).await;
    let scene = TestStore { store, worker, database, server: None };

    scene.store.accept_new(asks()).await.unwrap();
    let run = scene.claimed().await;
    follow(&other, &mut signals, run.key).await;
    scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    let settled = scene.store.settle(complete(&run, 2)).await.unwrap();
    assert!(matches!(settled, Settled::Now { .. }), "{settled:?}");
    let hears = async {
        loop {
            match signals.next().await.unwrap() {
                LogSignal::Grown(tasks) if tasks.iter().any(|(key, _)| *key == run.key) => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(LIMIT, hears).await.expect("the other process hears");
    assert!(other.reap(REAP).await.unwrap().done.is_empty(), "the worker is seen to live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_shares_sessions_is_refused_with_advice() {
    let database = Database::create();
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    let (bouncer, options) = options(&database, PoolMode::Transaction);
    let outcome = PostgresStore::connect(options, Arc::new(SystemIds)).await.map(drop);
    match outcome {
        Err(StoreError::Schema(sentence)) => {
            assert!(sentence.contains("session mode"), "{sentence}");
        }
        other => panic!("{other:?}"),
    }
    // Nothing that the store sets for itself is left in sessions that others get.
    let shared = database.url_through(&bouncer.address());
    assert_eq!(psql(&shared, "show enable_seqscan").unwrap(), "on");
}
