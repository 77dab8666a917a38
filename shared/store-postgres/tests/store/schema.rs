//! Migration, errors about schemas and rows that do not fit, and closing.

use crate::test_store::{LIMIT, TestStore};
use futures::{StreamExt, future::join_all};
use longhaul_domain::Seq;
use longhaul_store::{
    ReadLimit, ReadStore, SignalSource, SnapshotOptions, Store, StoreError, WorkerStore,
};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_tests::Database;
use std::sync::Arc;

async fn connect(database: &Database) -> Result<Arc<PostgresStore>, StoreError> {
    let options = PostgresOptions { start_timeout: LIMIT, ..PostgresOptions::new(database.url()) };
    PostgresStore::connect(options, Arc::new(longhaul_runtime::SystemIds)).await
}

fn says(outcome: Result<Arc<PostgresStore>, StoreError>) -> String {
    match outcome {
        Err(StoreError::Schema(sentence)) => sentence,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it connected"),
    }
}

#[tokio::test]
async fn concurrent_migrations_apply_each_step_once() {
    let database = Database::create();
    let all = join_all((0..6).map(|_| PostgresStore::migrate(database.url(), LIMIT))).await;
    let mut applied: Vec<String> = all.into_iter().flat_map(|names| names.unwrap()).collect();
    let noted = database.sql("select name from longhaul_schema order by version");
    assert!(applied.iter().map(String::as_str).eq(noted.lines()), "{applied:?}");
    applied = PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    assert!(applied.is_empty());
    connect(&database).await.unwrap().check().await.unwrap();
}

#[tokio::test]
async fn an_older_schema_asks_for_migrate() {
    let database = Database::create();
    assert!(says(connect(&database).await).contains("run `longhaul migrate`"));
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    database.sql("delete from longhaul_schema where version > 1");
    assert!(says(connect(&database).await).contains("run `longhaul migrate`"));
}

#[tokio::test]
async fn a_newer_schema_is_accepted_unless_its_major_number_is_higher() {
    let database = Database::create();
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    database.sql("insert into longhaul_schema (version, major, name) values (998, 1, 'later')");
    connect(&database).await.unwrap();
    database
        .sql("insert into longhaul_schema (version, major, name) values (999, 2, 'much later')");
    assert!(says(connect(&database).await).contains("newer"));
    let outcome = PostgresStore::migrate(database.url(), LIMIT).await;
    assert!(matches!(outcome, Err(StoreError::Schema(_))), "{outcome:?}");
}

#[tokio::test]
async fn history_is_readable_in_sql() {
    let test = TestStore::new().await;
    let key = test.accept_task().await;
    let task = key.task;
    let overview =
        format!("select owner, agent, state, entries from task_overview where task_id = '{task}'");
    assert_eq!(test.database.sql(&overview), "local|echo|submitted|1");
    let history = format!(
        "select seq, kind, body -> 'message' -> 'parts' -> 0 ->> 'text' from task_history where task_id = '{task}'"
    );
    assert_eq!(test.database.sql(&history), "1|message|hello");
}

#[tokio::test]
async fn a_corrupt_row_names_its_column() {
    let test = TestStore::new().await;
    let key = test.accept_task().await;
    test.database.sql("update log set body = '{}'");
    let outcome = test.store.read_task(key, SnapshotOptions::ALL).await;
    match outcome {
        Err(StoreError::Corrupt { what, .. }) => assert!(what.contains("body"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_corrupt_task_delays_no_other() {
    let test = TestStore::new().await;
    let (bad, good) = (test.accept_task().await, test.accept_task().await);
    test.database.sql(&format!("update log set body = '{{}}' where task_id = '{}'", bad.task));
    let claimed = test.store.claim(test.request(2)).await.unwrap();
    assert_eq!(claimed.iter().map(|run| run.key).collect::<Vec<_>>(), [good]);
    assert!(test.store.claim(test.request(2)).await.unwrap().is_empty(), "it is put off");
    let cursors = vec![(bad, Seq::START), (good, Seq::START)];
    let pages = test.store.read_logs(cursors, ReadLimit::default()).await.unwrap();
    assert_eq!(pages.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [good]);
}

#[tokio::test]
async fn signals_end_when_the_store_is_closed() {
    let test = TestStore::new().await;
    let mut signals = test.store.log_signals().await.unwrap();
    test.store.close().await;
    assert_eq!(signals.next().await, None);
    let outcome = test.store.check().await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}
