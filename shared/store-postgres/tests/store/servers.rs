//! Use of the primary and no other server, whatever the address leads to.

use crate::{
    statements::migrated,
    test_store::{LIMIT, TestStore, new_task_request, open_with},
};
use longhaul_runtime::{IdSource, SystemIds};
use longhaul_store::{IntakeStore, Store, StoreError};
use longhaul_store_postgres::{PostgresOptions, PostgresStore, statements};
use longhaul_tests::{Database, Replicas, eventually};
use std::time::Duration;

async fn until_healthy(store: &PostgresStore) {
    eventually(LIMIT, "the store can be written to", async || store.check().await).await;
}

async fn until_refused(store: &PostgresStore, says: &str) {
    eventually(LIMIT, &format!("the store says: {says}"), async || match store.check().await {
        Err(StoreError::Unavailable(cause)) if cause.contains(says) => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_sessions_are_replaced_when_the_role_may_write_again() {
    let test = TestStore::new().await;
    let name = test.database.name().to_owned();
    test.database
        .server_sql(&format!("alter database {name} set default_transaction_read_only = on"));
    test.database.server_sql(&format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{name}'"
    ));
    until_refused(&test.store, "read-only").await;
    let refused = test.store.accept_new(new_task_request()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");

    test.database.server_sql(&format!("alter database {name} reset default_transaction_read_only"));

    until_healthy(&test.store).await;
    test.store.accept_new(new_task_request()).await.unwrap();
    test.claim_one().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_answer_a_client_reach_the_disk_whatever_the_default() {
    let database = Database::create();
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    let name = database.name();
    database.server_sql(&format!("alter database {name} set synchronous_commit = off"));
    database.sql(
        "create table waits (setting text);
         create function note_wait() returns trigger language plpgsql as
            $$ begin insert into waits values (current_setting('synchronous_commit')); return null; end $$;
         create trigger note_wait after insert on tasks for each row execute function note_wait()",
    );
    let store = open_with(PostgresOptions::new(database.url())).await;
    store.accept_new(new_task_request()).await.unwrap();
    assert_eq!(database.sql("select distinct setting from waits"), "on");
    // A stronger or weaker wait that still reaches the disk is the operator's choice.
    database.server_sql(&format!("alter database {name} set synchronous_commit = local"));
    let other = open_with(PostgresOptions::new(database.url())).await;
    other.accept_new(new_task_request()).await.unwrap();
    assert_eq!(database.sql("select string_agg(setting, ' ') from waits"), "on local");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_primary_that_does_not_know_of_its_successor_is_never_written_to() {
    let mut replicas = Replicas::start();
    let mut database = Database::create_on(&replicas.primary);
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    let hosts = format!("{},{}", replicas.primary.address(), replicas.standby.address());
    let url = database.url_through(&hosts) + "?target_session_attrs=read-write";
    let store = open_with(PostgresOptions::new(url)).await;
    store.accept_new(new_task_request()).await.unwrap();

    replicas.primary.kill9();
    replicas.promote();
    database.move_to(&replicas.primary);
    until_healthy(&store).await;
    store.accept_new(new_task_request()).await.unwrap();
    assert_eq!(database.sql("select count(*) from tasks"), "2");

    // The former primary restarts as a primary while its successor is down.
    replicas.standby.start();
    replicas.primary.stop_fast();
    until_refused(&store, "was replaced").await;
    let refused = store.accept_new(new_task_request()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    replicas.primary.start();
    until_healthy(&store).await;
    assert_eq!(database.sql("select count(*) from tasks"), "2");
}

#[tokio::test]
async fn a_worker_whose_session_is_on_another_server_is_not_registered() {
    let database = migrated().await;
    let register = statements::COLD.iter().find(|s| s.contains("store::register_worker")).unwrap();
    let worker = SystemIds.uuid_v7();
    let script = format!(
        "prepare register as {register};
         execute register('{worker}', 'elsewhere', '{{}}', 60000, 4711);
         select count(*) from workers;
         select pg_advisory_lock(4711);
         execute register('{worker}', 'here', '{{}}', 60000, 4711);
         select count(*) from workers"
    );
    assert_eq!(database.sql(&script), "0\n\n1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_among_the_hosts_is_not_contacted_while_the_primary_is_known() {
    let replicas = Replicas::start_with(&[("log_connections", "on")]);
    let database = Database::create_on(&replicas.primary);
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    // The standby comes first.
    let hosts = format!("{},{}", replicas.standby.address(), replicas.primary.address());
    let store = open_with(PostgresOptions::new(database.url_through(&hosts))).await;
    store.accept_new(new_task_request()).await.unwrap();
    let asked = || replicas.standby.log().matches("application_name=longhaul").count();
    let cut = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{}'",
        database.name()
    );
    database.server_sql(&cut);
    until_healthy(&store).await;
    // The search started by the lost connections is over once the standby sees no connection for a
    // while.
    let mut before = asked();
    eventually(LIMIT, "nobody asks the standby", async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (now, last) = (asked(), before);
        before = now;
        if now == last { Ok(()) } else { Err(now - last) }
    })
    .await;
    store.accept_new(new_task_request()).await.unwrap();
}
