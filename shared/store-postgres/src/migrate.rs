//! Bringing a database to the schema of this program.
//!
//! All missing migrations are applied in one transaction under a lock of their own: any number of `migrate` at once are
//! fine, and one that dies in the middle leaves nothing behind. Migrations are never changed once they were released. One
//! with the same major number may run while older programs still do; a new major number means that they may not.

use crate::failure::{DbResult, Failure};
use sqlx_core::{query::query, query_as::query_as, query_scalar::query_scalar, raw_sql::raw_sql};
use sqlx_postgres::PgConnection;

/// A step of the schema.
struct Migration {
    version: i32,
    major: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 6] = [
    Migration {
        version: 1,
        major: 1,
        name: "0001_tables",
        sql: include_str!("../../../migrations/postgres/0001_tables.sql"),
    },
    Migration {
        version: 2,
        major: 1,
        name: "0002_history",
        sql: include_str!("../../../migrations/postgres/0002_history.sql"),
    },
    Migration {
        version: 3,
        major: 1,
        name: "0003_durability",
        sql: include_str!("../../../migrations/postgres/0003_durability.sql"),
    },
    Migration {
        version: 4,
        major: 1,
        name: "0004_lighter",
        sql: include_str!("../../../migrations/postgres/0004_lighter.sql"),
    },
    Migration {
        version: 5,
        major: 1,
        name: "0005_seldom",
        sql: include_str!("../../../migrations/postgres/0005_seldom.sql"),
    },
    Migration {
        version: 6,
        major: 1,
        name: "0006_budget",
        sql: include_str!("../../../migrations/postgres/0006_budget.sql"),
    },
];

/// The schema that this program needs.
const NEEDED: &Migration = &MIGRATIONS[MIGRATIONS.len() - 1];

/// One migration at a time in a database.
pub const LOCK_SCHEMA: &str = "-- store::lock_schema
select pg_advisory_xact_lock(723681250, 1)";

const CREATE_SCHEMA_TABLE: &str = "-- store::create_schema_table
create table if not exists longhaul_schema (
    version int4 primary key,
    major int4 not null,
    name text not null,
    applied_at timestamptz not null default now()
)";

/// Whether the table of migrations is there.
pub const HAS_SCHEMA: &str = "-- store::has_schema
select to_regclass('longhaul_schema') is not null";

/// What was applied last.
pub const READ_SCHEMA: &str = "-- store::read_schema
select coalesce(max(version), 0), coalesce(max(major), 0) from longhaul_schema";

/// What was applied last, and whether the server takes writes, of a database that has the schema.
pub const IS_WELL: &str = "-- store::is_well
select not (pg_is_in_recovery() or current_setting('transaction_read_only') = 'on'),
    coalesce(max(version), 0), coalesce(max(major), 0)
from longhaul_schema";

/// Notes a migration.
pub const NOTE_MIGRATION: &str = "-- store::note_migration
insert into longhaul_schema (version, major, name) values ($1, $2, $3)";

/// Applies what is missing; gives the names.
pub async fn migrate(connection: &mut PgConnection) -> DbResult<Vec<String>> {
    let mut transaction = sqlx_core::connection::Connection::begin(connection).await?;
    query(LOCK_SCHEMA).execute(&mut *transaction).await?;
    query(CREATE_SCHEMA_TABLE).execute(&mut *transaction).await?;
    let (version, major) = applied(&mut transaction).await?;
    not_too_new(version, major)?;
    let mut names = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > version) {
        raw_sql(migration.sql).execute(&mut *transaction).await.map_err(|error| {
            Failure::Schema(format!("migration {} failed: {error}", migration.name))
        })?;
        query(NOTE_MIGRATION)
            .bind(migration.version)
            .bind(migration.major)
            .bind(migration.name)
            .execute(&mut *transaction)
            .await?;
        names.push(migration.name.to_owned());
    }
    transaction.commit().await?;
    Ok(names)
}

/// Whether the database has the schema of this program, or a newer one that it can live with.
pub async fn check(connection: &mut PgConnection) -> DbResult<()> {
    let there: bool = query_scalar(HAS_SCHEMA).fetch_one(&mut *connection).await?;
    let (version, major) = if there { applied(connection).await? } else { (0, 0) };
    fits(version, major)
}

/// The same in one statement, for a server that has the schema and takes writes. `false`: something is wrong, and asking
/// for one thing at a time tells what.
pub async fn is_well(connection: &mut PgConnection) -> bool {
    let answer = query_as::<_, (bool, i32, i32)>(IS_WELL).fetch_one(connection).await;
    answer.is_ok_and(|(writes, version, major)| writes && fits(version, major).is_ok())
}

fn fits(version: i32, major: i32) -> DbResult<()> {
    not_too_new(version, major)?;
    if version < NEEDED.version {
        return Err(Failure::Schema(format!(
            "the database has schema version {version} and this program needs {}: run `longhaul migrate`",
            NEEDED.version
        )));
    }
    Ok(())
}

async fn applied(connection: &mut PgConnection) -> DbResult<(i32, i32)> {
    Ok(query_as(READ_SCHEMA).fetch_one(connection).await?)
}

fn not_too_new(version: i32, major: i32) -> DbResult<()> {
    if major <= NEEDED.major {
        return Ok(());
    }
    Err(Failure::Schema(format!(
        "the database has schema version {version}, made by a newer Longhaul that this program cannot work beside: \
         install the newer program"
    )))
}
