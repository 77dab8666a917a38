//! Migrations of a database in use.

use crate::test_store::LIMIT;
use longhaul_store_postgres::PostgresStore;
use longhaul_tests::{Database, eventually};
use sqlx_core::{connection::Connection, executor::Executor};
use sqlx_postgres::PgConnection;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Migration files, in order.
fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/postgres");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Creates a database with an earlier schema and some tasks.
fn of_version(version: usize) -> Database {
    let database = Database::create();
    database.sql("create table longhaul_schema (version int4 primary key, major int4 not null, name text not null,
        applied_at timestamptz not null default now())");
    for (number, file) in (1..=version).zip(files()) {
        database.sql(&fs::read_to_string(file).unwrap());
        database.sql(&format!("insert into longhaul_schema values ({number}, 1, 'n{number}')"));
    }
    database.sql(
        "insert into tasks select 1, gen_random_uuid(), 'echo', 'c', 0, now() from generate_series(1, 1000);
        insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch,
            op_epoch, last_op)
        select 1, task_id, 1, now(), 0, 1, 1, 1, 0, 0, 0 from tasks;",
    );
    database
}

/// Everything that a schema consists of.
fn schema(database: &Database) -> BTreeSet<String> {
    let all = database.sql(
        "select table_name, column_name, data_type, is_nullable, column_default, generation_expression
        from information_schema.columns where table_schema = 'public' order by 1, 2;
        select tablename, indexdef from pg_indexes where schemaname = 'public' order by 1, 2;
        select conrelid::regclass, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace order by 1::text, 2;
        select c.relname, c.reloptions from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1;
        select indexrelid::regclass from pg_index where not indisvalid;",
    );
    all.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn migrating_a_database_in_use_yields_the_schema_of_a_new_one() {
    let new = Database::create();
    PostgresStore::migrate(new.url(), LIMIT).await.unwrap();
    let old = of_version(5);
    let applied = PostgresStore::migrate(old.url(), LIMIT).await.unwrap();
    assert_eq!(applied.len(), files().len() - 5, "{applied:?}");
    assert_eq!(schema(&old), schema(&new));
}

#[tokio::test]
async fn a_migration_killed_while_building_an_index_is_resumed() {
    let database = of_version(5);
    // The state after a killed runner: a recorded step and an invalid index.
    database.sql(
        "create table longhaul_schema_progress (version int4 primary key, steps int4 not null);
        create index task_state_newest on task_state (owner_id, status_second) where status_second is not null;
        update pg_index set indisvalid = false where indexrelid = 'task_state_newest'::regclass;",
    );
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    assert_eq!(database.sql("select count(*) from pg_index where not indisvalid"), "0");
    assert_eq!(database.sql("select count(*) from longhaul_schema_progress"), "0");
}

#[tokio::test]
async fn several_runners_on_a_database_in_use_apply_each_step_once() {
    let database = of_version(5);
    let all = (0..4).map(|_| PostgresStore::migrate(database.url(), LIMIT));
    let applied: Vec<String> =
        futures::future::join_all(all).await.into_iter().flat_map(|names| names.unwrap()).collect();
    assert_eq!(applied.len(), files().len() - 5, "{applied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_migration_blocks_no_other_statement() {
    let database = of_version(5);
    // An open transaction that has read: dropping an index must wait for it.
    let mut reader = PgConnection::connect(&database.url()).await.unwrap();
    reader
        .execute("begin isolation level repeatable read; select count(*) from tasks")
        .await
        .unwrap();
    let url = database.url();
    let migrating =
        longhaul_runtime::spawn(
            "migrating",
            async move { PostgresStore::migrate(url, LIMIT).await },
        );
    eventually(LIMIT, "the migration waits", async || {
        let waiting = database.sql(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%index concurrently%'",
        );
        if waiting == "1" { Ok(()) } else { Err(waiting) }
    })
    .await;
    database.sql("set lock_timeout = '1s'; set statement_timeout = '10s';
        update task_state set last_op = last_op + 1; select count(*) from tasks where owner_id = 1 and context_id = 'c'");
    reader.execute("rollback").await.unwrap();
    migrating.await.unwrap().unwrap();
}
