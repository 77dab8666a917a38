//! Runs the conformance suite against a real Postgres.

use longhaul_runtime::SystemIds;
use longhaul_store_kit::Fixture;
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_tests::Database;
use std::{sync::Arc, time::Duration};

async fn fixture() -> Fixture {
    let database = Database::create();
    PostgresStore::migrate(database.url(), Duration::from_secs(60)).await.unwrap();
    let options = PostgresOptions { max_connections: 8, ..PostgresOptions::new(database.url()) };
    let store = PostgresStore::connect(options, Arc::new(SystemIds)).await.unwrap();
    Fixture { store, keep: Box::new(database) }
}

longhaul_store_kit::conformance_tests!(fixture().await);
