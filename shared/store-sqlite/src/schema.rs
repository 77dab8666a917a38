//! The schema: all migrations, and those that a file has.
//!
//! Migrations are applied in one transaction, so a crash in the middle leaves the schema as it was.

use crate::{
    db::{self, statements},
    error::DbResult,
};
use longhaul_domain::BlobHash;
use longhaul_store::StoreError;
use rusqlite::Connection;

/// A step from one schema to the next.
struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "init",
        sql: include_str!("../../../migrations/sqlite/0001_init.sql"),
    },
    Migration {
        version: 2,
        name: "durability",
        sql: include_str!("../../../migrations/sqlite/0002_durability.sql"),
    },
    Migration {
        version: 3,
        name: "budget",
        sql: include_str!("../../../migrations/sqlite/0003_budget.sql"),
    },
];

statements! {
    CREATE_TABLE = "-- store::migrate
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version    INTEGER NOT NULL PRIMARY KEY,
            name       TEXT    NOT NULL,
            checksum   TEXT    NOT NULL,
            applied_at INTEGER NOT NULL
        ) STRICT";
    HAS_TABLE = "-- store::check
        SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'";
    APPLIED = "-- store::migrate
        SELECT version, name, checksum FROM schema_migrations ORDER BY version";
    RECORD = "-- store::migrate
        INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)";
}

/// Applies the missing migrations.
pub fn migrate(conn: &Connection, now: i64) -> DbResult<()> {
    conn.execute_batch(CREATE_TABLE)?;
    let applied = verify(conn)?;
    for migration in MIGRATIONS.iter().skip(applied) {
        conn.execute_batch(migration.sql)?;
        let Migration { version, name, sql } = migration;
        db::run(conn, RECORD, (version, name, checksum(sql), now))?;
        tracing::info!(version, name, "migration applied");
    }
    Ok(())
}

/// Checks that the file has the schema that this program needs.
pub fn check(conn: &Connection) -> DbResult<()> {
    let applied = match db::one(conn, HAS_TABLE, (), |_| Ok(()))? {
        Some(()) => verify(conn)?,
        None => 0,
    };
    if applied < MIGRATIONS.len() {
        return Err(StoreError::Schema(format!(
            "the store has schema {applied} and this program needs {}; run `longhaul migrate`",
            MIGRATIONS.len()
        ))
        .into());
    }
    Ok(())
}

/// Counts the applied migrations, each of which must be known to this program.
fn verify(conn: &Connection) -> DbResult<usize> {
    let applied = db::all(conn, APPLIED, (), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let newest = MIGRATIONS.last().map_or(0, |m| m.version);
    if let Some((version, ..)) = applied.last().filter(|(version, ..)| *version > newest) {
        return Err(StoreError::Schema(format!(
            "the store has schema {version}, of a newer longhaul; this one knows up to {newest}: use the newer one"
        ))
        .into());
    }
    for (migration, (version, name, sum)) in MIGRATIONS.iter().zip(&applied) {
        if migration.version != *version || checksum(migration.sql) != *sum {
            return Err(StoreError::Schema(format!(
                "migration {version} ({name}) of the store is not the one of this program: \
                 use the program that applied it, or restore the store from a backup"
            ))
            .into());
        }
    }
    Ok(applied.len())
}

/// Returns the SHA-256 in hexadecimal.
fn checksum(sql: &str) -> String {
    BlobHash::digest(sql.as_bytes()).to_string()
}

/// Lists all statements of this crate with their names.
#[cfg(test)]
pub fn every_statement() -> impl Iterator<Item = (&'static str, &'static str)> {
    let modules = [
        STATEMENTS,
        crate::agents::STATEMENTS,
        crate::clock::STATEMENTS,
        crate::head::STATEMENTS,
        crate::intake::accept::STATEMENTS,
        crate::intake::dedupe::STATEMENTS,
        crate::keys::STATEMENTS,
        crate::operator::STATEMENTS,
        crate::queue::STATEMENTS,
        crate::read::budget::STATEMENTS,
        crate::read::history::STATEMENTS,
        crate::read::list::STATEMENTS,
        crate::read::log::STATEMENTS,
        crate::read::run_details::STATEMENTS,
        crate::read::task::STATEMENTS,
        crate::schedules::STATEMENTS,
        crate::work::claim::STATEMENTS,
        crate::work::due_work::STATEMENTS,
        crate::work::output::STATEMENTS,
        crate::work::reap::STATEMENTS,
        crate::work::workers::STATEMENTS,
    ];
    modules.into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn, 0).unwrap();
        conn
    }

    fn refused(outcome: DbResult<()>) -> String {
        match outcome.map_err(StoreError::from) {
            Err(StoreError::Schema(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn migrations_are_applied_once() {
        let conn = migrated();
        migrate(&conn, 0).unwrap();
        check(&conn).unwrap();
        assert_eq!(verify(&conn).unwrap(), MIGRATIONS.len());
    }

    /// Creates the schema of the first release, with a due run, a later one and a running one.
    fn first_release_schema() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(CREATE_TABLE).unwrap();
        let Migration { version, name, sql } = &MIGRATIONS[0];
        conn.execute_batch(sql).unwrap();
        db::run(&conn, RECORD, (version, name, checksum(sql), 0)).unwrap();
        let run = "INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, worker, handed_back, losses)
                   VALUES (1, ?1, 'echo', 0, ?2, 1, 0, ?3, 0, 0)";
        for (task, run_at, worker) in
            [("due", 1, None), ("later", i64::MAX, None), ("running", i64::MAX, Some("w"))]
        {
            conn.execute(run, (task, run_at, worker)).unwrap();
        }
        conn
    }

    #[test]
    fn queued_runs_survive_a_migration() {
        let conn = first_release_schema();
        migrate(&conn, 0).unwrap();
        let stage = |task: &str| {
            let sql = "SELECT stage FROM runs WHERE task = ?1";
            conn.query_row(sql, (task,), |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!((stage("due"), stage("later"), stage("running")), (0, 1, 0));
    }

    #[test]
    fn versions_count_from_one() {
        assert!(MIGRATIONS.iter().map(|m| m.version).eq((1..).take(MIGRATIONS.len())));
    }

    #[test]
    fn a_store_without_schema_says_what_to_run() {
        let why = refused(check(&Connection::open_in_memory().unwrap()));
        assert!(why.contains("longhaul migrate"), "{why}");
    }

    #[test]
    fn a_changed_migration_is_refused() {
        let conn = migrated();
        conn.execute("UPDATE schema_migrations SET checksum = 'other'", ()).unwrap();
        for outcome in [check(&conn), migrate(&conn, 0)] {
            let why = refused(outcome);
            assert!(why.contains("migration 1 (init)"), "{why}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let conn = migrated();
        db::run(&conn, RECORD, (99, "later", "x", 0)).unwrap();
        for outcome in [check(&conn), migrate(&conn, 0)] {
            let why = refused(outcome);
            assert!(why.contains("schema 99"), "{why}");
        }
    }

    /// Columns must equal those on Postgres, so that queries for one store work on the other.
    #[test]
    fn the_views_have_the_promised_columns() {
        let conn = migrated();
        for sql in [
            "SELECT owner_id, owner, task_id, agent, context_id, seq, at, attempt, kind, state, artifact_id, schema, body
             FROM task_history",
            "SELECT owner_id, owner, task_id, agent, context_id, state, created_at, status_at, entries, turn, attempt,
             priority, run_at, worker, worker_name, cancel_at, stage, deadline_at, losses FROM task_overview",
            "SELECT owner_id, owner, task_id, agent, context_id, at, because, cause, attempts, redriven_as, dismissed
             FROM dead_letters_overview",
        ] {
            conn.prepare(sql).unwrap();
        }
    }

    #[test]
    fn every_statement_is_named_and_can_be_prepared() {
        let conn = migrated();
        for (name, sql) in every_statement() {
            assert!(sql.starts_with("-- store::"), "{name} has no name in SQL");
            conn.prepare(sql).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}
