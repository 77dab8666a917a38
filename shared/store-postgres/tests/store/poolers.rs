//! Poolers: accepted in session mode, refused otherwise.

use crate::test_store::{
    LIMIT, REAP_REQUEST, TestStore, append, complete, follow, new_task_request, open_with,
    register_worker, status,
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
async fn a_pooler_in_session_mode_works() {
    let database = Database::create();
    let (_bouncer, options) = options(&database, PoolMode::Session);
    PostgresStore::migrate(options.url.clone(), LIMIT).await.unwrap();
    let store = open_with(options.clone()).await;
    let other = open_with(options).await;
    let mut signals = other.log_signals().await.unwrap();
    let worker = register_worker(&store, LIMIT).await;
    let test = TestStore { store, worker, database, server: None };

    test.store.accept_new(new_task_request()).await.unwrap();
    let run = test.claim_one().await;
    follow(&other, &mut signals, run.key).await;
    test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    let settled = test.store.settle(complete(&run, 2)).await.unwrap();
    assert!(matches!(settled, Settled::Now { .. }), "{settled:?}");
    let receives_growth = async {
        loop {
            match signals.next().await.unwrap() {
                LogSignal::Grown(tasks) if tasks.iter().any(|(key, _)| *key == run.key) => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(LIMIT, receives_growth).await.expect("the other process hears");
    assert!(other.reap(REAP_REQUEST).await.unwrap().done.is_empty(), "the worker is seen to live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_is_refused_with_advice() {
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
    // The store's settings must not leak into sessions that others get.
    let shared = database.url_through(&bouncer.address());
    assert_eq!(psql(&shared, "show enable_seqscan").unwrap(), "on");
}
