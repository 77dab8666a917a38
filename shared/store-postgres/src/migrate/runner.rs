//! Executes migrations step by step while other programs use the database.

use super::{
    schema::{Migration, applied_version, check_not_newer},
    steps::{MigrationStep, StepKind, steps},
};
use crate::error::{DbError, DbResult};
use longhaul_runtime::Backoff;
use sqlx_core::{
    connection::Connection,
    error::{DatabaseError, Error},
    query::query,
    query_scalar::query_scalar,
    raw_sql::raw_sql,
};
use sqlx_postgres::PgConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait of a step for a lock. Other statements queue behind a waiting lock request, so this
/// bounds their wait too.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// Longest time that a step is retried while others hold its locks.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(600);

/// Pause between lock attempts, in which statements that queued behind the first one proceed.
const LOCK_RETRY: Backoff = Backoff {
    initial: Duration::from_millis(250),
    factor: 1.5,
    max: Duration::from_secs(2),
    jitter: true,
};

/// Interval between attempts to take the schema lock.
const SCHEMA_LOCK_POLL: Duration = Duration::from_millis(100);

/// Interval between log events of a waiting step.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Admits one runner at a time per database.
///
/// It polls: a waiting statement would keep its snapshot, and index creation waits for every
/// snapshot, so two runners would deadlock.
pub const TRY_LOCK_SCHEMA: &str = "-- store::try_lock_schema
select pg_try_advisory_lock(723681250, 1)";

/// Admits the next runner.
pub const UNLOCK_SCHEMA: &str = "-- store::unlock_schema
select pg_advisory_unlock(723681250, 1)";

const CREATE_SCHEMA_TABLE: &str = "-- store::create_schema_table
create table if not exists longhaul_schema (
    version int4 primary key,
    major int4 not null,
    name text not null,
    applied_at timestamptz not null default now()
)";

/// Creates the table that counts the finished steps of an unfinished migration.
const CREATE_PROGRESS_TABLE: &str = "-- store::create_progress_table
create table if not exists longhaul_schema_progress (version int4 primary key, steps int4 not null)";

/// Reads the number of finished steps of a migration.
pub const READ_PROGRESS: &str = "-- store::read_progress
select steps from longhaul_schema_progress where version = $1";

/// Records a finished step.
pub const RECORD_STEP: &str = "-- store::record_step
insert into longhaul_schema_progress (version, steps) values ($1, $2)
on conflict (version) do update set steps = excluded.steps";

/// Deletes the step count of a finished migration.
pub const CLEAR_PROGRESS: &str = "-- store::clear_progress
delete from longhaul_schema_progress where version = $1";

/// Records a finished migration.
pub const RECORD_MIGRATION: &str = "-- store::record_migration
insert into longhaul_schema (version, major, name) values ($1, $2, $3)";

/// Tests whether an index exists and is valid. An interrupted build leaves an invalid one.
pub const HAS_INDEX: &str = "-- store::has_index
select i.indisvalid from pg_index i where i.indexrelid = to_regclass($1)";

/// Applies missing migrations; returns their names.
pub async fn run(connection: &mut PgConnection, migrations: &[Migration]) -> DbResult<Vec<String>> {
    // A role may have a statement timeout, and indexing a long log takes long.
    set(connection, "statement_timeout", "0").await?;
    set(connection, "client_min_messages", "warning").await?;
    lock_schema(connection).await?;
    let outcome = run_locked(connection, migrations).await;
    // On failure the session is gone, and with it the lock.
    let _ = query(UNLOCK_SCHEMA).execute(connection).await;
    outcome
}

async fn run_locked(
    connection: &mut PgConnection,
    migrations: &[Migration],
) -> DbResult<Vec<String>> {
    query(CREATE_SCHEMA_TABLE).execute(&mut *connection).await?;
    let (version, major) = applied_version(connection).await?;
    check_not_newer(version, major)?;
    let missing: Vec<&Migration> = migrations.iter().filter(|m| m.version > version).collect();
    if version == 0 {
        // An empty database has no other users whom a lock could delay.
        create_schema(connection, &missing).await?;
    } else if !missing.is_empty() {
        query(CREATE_PROGRESS_TABLE).execute(&mut *connection).await?;
        for migration in &missing {
            apply(connection, migration).await?;
        }
    }
    Ok(missing.iter().map(|migration| migration.name.to_owned()).collect())
}

async fn lock_schema(connection: &mut PgConnection) -> DbResult<()> {
    while !query_scalar::<_, bool>(TRY_LOCK_SCHEMA).fetch_one(&mut *connection).await? {
        sleep(SCHEMA_LOCK_POLL).await;
    }
    Ok(())
}

/// Creates the schema of an empty database, where locks delay no other program.
async fn create_schema(connection: &mut PgConnection, missing: &[&Migration]) -> DbResult<()> {
    let mut transaction = connection.begin().await?;
    raw_sql(CREATE_PROGRESS_TABLE).execute(&mut *transaction).await?;
    for migration in missing {
        for MigrationStep { kind, sql } in steps(migration.sql) {
            let sql = match kind {
                // An index cannot be built concurrently inside a transaction, and need not be.
                StepKind::Concurrent(_) => sql.replacen(" concurrently", "", 1),
                StepKind::Transaction | StepKind::Batches => sql.to_owned(),
            };
            let step = raw_sql(sqlx_core::sql_str::AssertSqlSafe(sql));
            step.execute(&mut *transaction)
                .await
                .map_err(|error| migration_error(migration, &error))?;
        }
        record_migration(&mut transaction, migration).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Runs the remaining steps of a migration.
async fn apply(connection: &mut PgConnection, migration: &Migration) -> DbResult<()> {
    let done: Option<i32> = query_scalar(READ_PROGRESS)
        .bind(migration.version)
        .fetch_optional(&mut *connection)
        .await?;
    let done = usize::try_from(done.unwrap_or(0)).unwrap_or(0);
    let steps = steps(migration.sql);
    // Steps recorded by an earlier run are skipped.
    for (at, step) in steps.iter().enumerate().skip(done) {
        tracing::info!(
            migration = migration.name,
            step = at + 1,
            of = steps.len(),
            "migration step started"
        );
        let last = at + 1 == steps.len();
        run_step(connection, migration, *step, if last { None } else { Some(at + 1) }).await?;
    }
    Ok(())
}

/// Runs one step and records it: the number of finished steps, or after the last one the migration.
async fn run_step(
    connection: &mut PgConnection,
    migration: &Migration,
    step: MigrationStep<'static>,
    done: Option<usize>,
) -> DbResult<()> {
    match step.kind {
        StepKind::Transaction => {
            return run_in_transaction(connection, migration, Some(step.sql), done).await.map(drop);
        }
        StepKind::Concurrent(index) => {
            run_concurrently(connection, migration, step.sql, index).await?;
        }
        StepKind::Batches => {
            loop {
                let begun = Instant::now();
                if run_batch(connection, migration, step.sql).await? == 0 {
                    break;
                }
                // Pause for as long as the batch took, so that others get half of the database.
                sleep(begun.elapsed()).await;
            }
        }
    }
    run_in_transaction(connection, migration, None, done).await
}

/// Runs statements and records the step in one transaction.
async fn run_in_transaction(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: Option<&'static str>,
    done: Option<usize>,
) -> DbResult<()> {
    let mut lock_retry = LockRetry::new(migration);
    loop {
        let mut transaction = connection.begin().await?;
        set_lock_timeout(&mut transaction).await?;
        let tried = match sql {
            Some(sql) => raw_sql(sql).execute(&mut *transaction).await.map(drop),
            None => Ok(()),
        };
        if let Err(error) = tried {
            transaction.rollback().await?;
            // The transaction is rolled back, so statements queued behind the lock proceed.
            lock_retry.after_error(error).await?;
            continue;
        }
        match done {
            Some(done) => {
                let done = i32::try_from(done).unwrap_or(i32::MAX);
                let noted = query(RECORD_STEP).bind(migration.version).bind(done);
                noted.execute(&mut *transaction).await?;
            }
            None => record_migration(&mut transaction, migration).await?,
        }
        transaction.commit().await?;
        return Ok(());
    }
}

/// Runs one batch; returns the number of changed rows.
async fn run_batch(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: &'static str,
) -> DbResult<u64> {
    let mut lock_retry = LockRetry::new(migration);
    loop {
        let mut transaction = connection.begin().await?;
        set_lock_timeout(&mut transaction).await?;
        match raw_sql(sql).execute(&mut *transaction).await {
            Ok(done) => {
                transaction.commit().await?;
                return Ok(done.rows_affected());
            }
            Err(error) => {
                transaction.rollback().await?;
                lock_retry.after_error(error).await?;
            }
        }
    }
}

/// Creates or drops an index while others read and write. It waits for their transactions; none
/// waits for it.
async fn run_concurrently(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: &'static str,
    index: Option<&'static str>,
) -> DbResult<()> {
    let mut lock_retry = LockRetry::new(migration);
    loop {
        if let Some(index) = index {
            let valid: Option<bool> =
                query_scalar(HAS_INDEX).bind(index).fetch_optional(&mut *connection).await?;
            match valid {
                Some(true) => return Ok(()),
                // Left by an interrupted or failed build: writers still maintain it, but no query
                // uses it.
                Some(false) => {
                    let drop = format!("drop index concurrently if exists {index}");
                    let dropped = raw_sql(sqlx_core::sql_str::AssertSqlSafe(drop));
                    dropped.execute(&mut *connection).await?;
                }
                None => {}
            }
        }
        match raw_sql(sql).execute(&mut *connection).await {
            Ok(_) => return Ok(()),
            Err(error) => lock_retry.after_error(error).await?,
        }
    }
}

/// Records a finished migration.
async fn record_migration(connection: &mut PgConnection, migration: &Migration) -> DbResult<()> {
    query(CLEAR_PROGRESS).bind(migration.version).execute(&mut *connection).await?;
    query(RECORD_MIGRATION)
        .bind(migration.version)
        .bind(migration.major)
        .bind(migration.name)
        .execute(connection)
        .await?;
    Ok(())
}

async fn set(connection: &mut PgConnection, name: &str, value: &str) -> DbResult<()> {
    let set = query("select set_config($1, $2, false)").bind(name).bind(value);
    set.execute(connection).await?;
    Ok(())
}

async fn set_lock_timeout(connection: &mut PgConnection) -> DbResult<()> {
    let set = query("select set_config('lock_timeout', $1, true)");
    set.bind(format!("{}ms", LOCK_TIMEOUT.as_millis())).execute(connection).await?;
    Ok(())
}

fn migration_error(migration: &Migration, error: &Error) -> DbError {
    DbError::Schema(format!("migration {} failed: {error}", migration.name))
}

/// Attempts to get a lock that others hold.
struct LockRetry<'a> {
    migration: &'a Migration,
    begun: Instant,
    reported: Option<Instant>,
    attempt: u32,
}

impl<'a> LockRetry<'a> {
    fn new(migration: &'a Migration) -> Self {
        Self { migration, begun: Instant::now(), reported: None, attempt: 0 }
    }

    /// Pauses after a failure to get a lock; every other failure is the migration's own.
    async fn after_error(&mut self, error: Error) -> DbResult<()> {
        let code = error.as_database_error().and_then(DatabaseError::code);
        // Lock timeout, deadlock, or serialization failure.
        if !matches!(code.as_deref(), Some("55P03" | "40P01" | "40001")) {
            return Err(migration_error(self.migration, &error));
        }
        if self.begun.elapsed() >= MAX_LOCK_WAIT {
            return Err(DbError::Unavailable(format!(
                "migration {} cannot get its locks ({error}): end long-running sessions \
                 (pg_stat_activity shows it) and run `longhaul migrate` again, which continues from here",
                self.migration.name
            )));
        }
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            self.reported = Some(Instant::now());
            tracing::info!(migration = self.migration.name, %error, "migration waiting for a lock");
        }
        sleep(LOCK_RETRY.random_delay(self.attempt)).await;
        self.attempt = self.attempt.saturating_add(1);
        Ok(())
    }
}
