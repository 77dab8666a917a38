//! Carries migrations out, step by step, beside whoever works on the database.

use super::{
    Migration, applied, not_too_new,
    steps::{Kind, Step, steps},
};
use crate::failure::{DbResult, Failure};
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

/// How long a step waits for a lock. Statements of others queue behind a lock that is waited for, so this bounds what they wait.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// How long a step is tried again, at most, while others keep it from its locks.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(600);

/// Between two tries for a lock, in which everybody who queued behind the first gets on.
const LOCK_RETRY: Backoff = Backoff {
    initial: Duration::from_millis(250),
    factor: 1.5,
    max: Duration::from_secs(2),
    jitter: true,
};

/// How often the lock of the schema is asked for.
const SCHEMA_LOCK_POLL: Duration = Duration::from_millis(100);

/// How often is said that a step waits.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// One runner at a time in a database. Asked for, not waited for: a statement that waits keeps its snapshot, and the building of
/// an index waits for every snapshot, so that two runners would wait for one another.
pub const TRY_LOCK_SCHEMA: &str = "-- store::try_lock_schema
select pg_try_advisory_lock(723681250, 1)";

/// Lets the next runner go on.
pub const UNLOCK_SCHEMA: &str = "-- store::unlock_schema
select pg_advisory_unlock(723681250, 1)";

const CREATE_SCHEMA_TABLE: &str = "-- store::create_schema_table
create table if not exists longhaul_schema (
    version int4 primary key,
    major int4 not null,
    name text not null,
    applied_at timestamptz not null default now()
)";

/// How many steps of a migration are done that is not done as a whole.
const CREATE_PROGRESS_TABLE: &str = "-- store::create_progress_table
create table if not exists longhaul_schema_progress (version int4 primary key, steps int4 not null)";

/// How many steps of a migration are done.
pub const READ_PROGRESS: &str = "-- store::read_progress
select steps from longhaul_schema_progress where version = $1";

/// Notes a step.
pub const NOTE_STEP: &str = "-- store::note_step
insert into longhaul_schema_progress (version, steps) values ($1, $2)
on conflict (version) do update set steps = excluded.steps";

/// Forgets the steps of a migration that is done.
pub const END_PROGRESS: &str = "-- store::end_progress
delete from longhaul_schema_progress where version = $1";

/// Notes a migration.
pub const NOTE_MIGRATION: &str = "-- store::note_migration
insert into longhaul_schema (version, major, name) values ($1, $2, $3)";

/// Whether an index is there, and can be used: one whose building was cut short is there and cannot.
pub const HAS_INDEX: &str = "-- store::has_index
select i.indisvalid from pg_index i where i.indexrelid = to_regclass($1)";

/// Applies what is missing; gives the names.
pub async fn run(connection: &mut PgConnection, migrations: &[Migration]) -> DbResult<Vec<String>> {
    // A role may have limits, and an index over a long log takes as long as it takes.
    set(connection, "statement_timeout", "0").await?;
    set(connection, "client_min_messages", "warning").await?;
    lock_schema(connection).await?;
    let outcome = run_alone(connection, migrations).await;
    // Where that fails the session is gone, and its lock with it.
    let _ = query(UNLOCK_SCHEMA).execute(connection).await;
    outcome
}

async fn run_alone(
    connection: &mut PgConnection,
    migrations: &[Migration],
) -> DbResult<Vec<String>> {
    query(CREATE_SCHEMA_TABLE).execute(&mut *connection).await?;
    let (version, major) = applied(connection).await?;
    not_too_new(version, major)?;
    let missing: Vec<&Migration> = migrations.iter().filter(|m| m.version > version).collect();
    if version == 0 {
        make_new(connection, &missing).await?;
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

/// Makes a schema where there is none, and nobody whom a lock could hold up.
async fn make_new(connection: &mut PgConnection, missing: &[&Migration]) -> DbResult<()> {
    let mut transaction = connection.begin().await?;
    raw_sql(CREATE_PROGRESS_TABLE).execute(&mut *transaction).await?;
    for migration in missing {
        for Step { kind, sql } in steps(migration.sql) {
            let sql = match kind {
                Kind::Concurrent(_) => sql.replacen(" concurrently", "", 1),
                Kind::Transaction | Kind::Batches => sql.to_owned(),
            };
            let step = raw_sql(sqlx_core::sql_str::AssertSqlSafe(sql));
            step.execute(&mut *transaction).await.map_err(|error| failed(migration, &error))?;
        }
        note(&mut transaction, migration).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Carries out what is left of a migration.
async fn apply(connection: &mut PgConnection, migration: &Migration) -> DbResult<()> {
    let done: Option<i32> = query_scalar(READ_PROGRESS)
        .bind(migration.version)
        .fetch_optional(&mut *connection)
        .await?;
    let done = usize::try_from(done.unwrap_or(0)).unwrap_or(0);
    let steps = steps(migration.sql);
    for (at, step) in steps.iter().enumerate().skip(done) {
        tracing::info!(migration = migration.name, step = at + 1, of = steps.len(), "migrating");
        let last = at + 1 == steps.len();
        carry_out(connection, migration, *step, if last { None } else { Some(at + 1) }).await?;
    }
    Ok(())
}

/// Carries out one step and notes it: that so many are done, or where it was the last one, the migration.
async fn carry_out(
    connection: &mut PgConnection,
    migration: &Migration,
    step: Step<'static>,
    done: Option<usize>,
) -> DbResult<()> {
    match step.kind {
        Kind::Transaction => {
            return in_transaction(connection, migration, Some(step.sql), done).await.map(drop);
        }
        Kind::Concurrent(index) => concurrently(connection, migration, step.sql, index).await?,
        Kind::Batches => {
            loop {
                let begun = Instant::now();
                if in_batch(connection, migration, step.sql).await? == 0 {
                    break;
                }
                // Others have the database for as long as this had it.
                sleep(begun.elapsed()).await;
            }
        }
    }
    in_transaction(connection, migration, None, done).await
}

/// Runs statements and the note that they are done in one transaction.
async fn in_transaction(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: Option<&'static str>,
    done: Option<usize>,
) -> DbResult<()> {
    let mut waiting = Waiting::new(migration);
    loop {
        let mut transaction = connection.begin().await?;
        bound_locks(&mut transaction).await?;
        let tried = match sql {
            Some(sql) => raw_sql(sql).execute(&mut *transaction).await.map(drop),
            None => Ok(()),
        };
        if let Err(error) = tried {
            transaction.rollback().await?;
            waiting.after(error).await?;
            continue;
        }
        match done {
            Some(done) => {
                let done = i32::try_from(done).unwrap_or(i32::MAX);
                let noted = query(NOTE_STEP).bind(migration.version).bind(done);
                noted.execute(&mut *transaction).await?;
            }
            None => note(&mut transaction, migration).await?,
        }
        transaction.commit().await?;
        return Ok(());
    }
}

/// Runs one batch; gives how many rows it has changed.
async fn in_batch(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: &'static str,
) -> DbResult<u64> {
    let mut waiting = Waiting::new(migration);
    loop {
        let mut transaction = connection.begin().await?;
        bound_locks(&mut transaction).await?;
        match raw_sql(sql).execute(&mut *transaction).await {
            Ok(done) => {
                transaction.commit().await?;
                return Ok(done.rows_affected());
            }
            Err(error) => {
                transaction.rollback().await?;
                waiting.after(error).await?;
            }
        }
    }
}

/// Makes or drops an index while others read and write. It waits for their transactions, and nobody waits for it.
async fn concurrently(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: &'static str,
    index: Option<&'static str>,
) -> DbResult<()> {
    let mut waiting = Waiting::new(migration);
    loop {
        if let Some(index) = index {
            let valid: Option<bool> =
                query_scalar(HAS_INDEX).bind(index).fetch_optional(&mut *connection).await?;
            match valid {
                Some(true) => return Ok(()),
                // Left behind by a runner that was ended, or by a try that failed: writers keep it up, and nobody reads it.
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
            Err(error) => waiting.after(error).await?,
        }
    }
}

/// Notes a migration that is done.
async fn note(connection: &mut PgConnection, migration: &Migration) -> DbResult<()> {
    query(END_PROGRESS).bind(migration.version).execute(&mut *connection).await?;
    query(NOTE_MIGRATION)
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

async fn bound_locks(connection: &mut PgConnection) -> DbResult<()> {
    let set = query("select set_config('lock_timeout', $1, true)");
    set.bind(format!("{}ms", LOCK_TIMEOUT.as_millis())).execute(connection).await?;
    Ok(())
}

fn failed(migration: &Migration, error: &Error) -> Failure {
    Failure::Schema(format!("migration {} failed: {error}", migration.name))
}

/// Tries for a lock that others hold.
struct Waiting<'a> {
    migration: &'a Migration,
    begun: Instant,
    reported: Option<Instant>,
    attempt: u32,
}

impl<'a> Waiting<'a> {
    fn new(migration: &'a Migration) -> Self {
        Self { migration, begun: Instant::now(), reported: None, attempt: 0 }
    }

    /// Pauses after a try that failed for want of a lock; every other failure is one of the migration.
    async fn after(&mut self, error: Error) -> DbResult<()> {
        let code = error.as_database_error().and_then(DatabaseError::code);
        // No lock in time, a deadlock, or a writer that was faster.
        if !matches!(code.as_deref(), Some("55P03" | "40P01" | "40001")) {
            return Err(failed(self.migration, &error));
        }
        if self.begun.elapsed() >= MAX_LOCK_WAIT {
            return Err(Failure::Unavailable(format!(
                "migration {} gets no lock because other sessions hold theirs ({error}): end what runs for long \
                 (pg_stat_activity shows it) and run `longhaul migrate` again, which goes on from here",
                self.migration.name
            )));
        }
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            self.reported = Some(Instant::now());
            tracing::info!(migration = self.migration.name, %error, "migration waits for a lock");
        }
        sleep(LOCK_RETRY.random_delay(self.attempt)).await;
        self.attempt = self.attempt.saturating_add(1);
        Ok(())
    }
}
