//! Bringing a database to the schema of this program, also while older programs work on it.
//!
//! Guarantees: any number of `migrate` at once apply each step once; one that dies in the middle leaves whole steps behind, and the
//! next one goes on there; no statement of a running system waits for a step for longer than [`runner::LOCK_TIMEOUT`] and the
//! moment that the step itself takes. A new database is made in one transaction. Migrations are never changed once they were
//! released. One with the same major number may run while older programs still do; a new major number means that they may not.

mod runner;
mod steps;

pub use runner::{
    END_PROGRESS, HAS_INDEX, NOTE_MIGRATION, NOTE_STEP, READ_PROGRESS, TRY_LOCK_SCHEMA,
    UNLOCK_SCHEMA,
};

use crate::failure::{DbResult, Failure};
use sqlx_core::{query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::PgConnection;

/// A step from one schema to the next. Its text may be divided into [`steps`].
struct Migration {
    version: i32,
    major: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 8] = [
    Migration {
        version: 1,
        major: 1,
        name: "0001_tables",
        sql: include_str!("../../../../migrations/postgres/0001_tables.sql"),
    },
    Migration {
        version: 2,
        major: 1,
        name: "0002_history",
        sql: include_str!("../../../../migrations/postgres/0002_history.sql"),
    },
    Migration {
        version: 3,
        major: 1,
        name: "0003_durability",
        sql: include_str!("../../../../migrations/postgres/0003_durability.sql"),
    },
    Migration {
        version: 4,
        major: 1,
        name: "0004_lighter",
        sql: include_str!("../../../../migrations/postgres/0004_lighter.sql"),
    },
    Migration {
        version: 5,
        major: 1,
        name: "0005_seldom",
        sql: include_str!("../../../../migrations/postgres/0005_seldom.sql"),
    },
    Migration {
        version: 6,
        major: 1,
        name: "0006_budget",
        sql: include_str!("../../../../migrations/postgres/0006_budget.sql"),
    },
    Migration {
        version: 7,
        major: 1,
        name: "0007_keys",
        sql: include_str!("../../../../migrations/postgres/0007_keys.sql"),
    },
    Migration {
        version: 8,
        major: 1,
        name: "0008_sessions",
        sql: include_str!("../../../../migrations/postgres/0008_sessions.sql"),
    },
];

/// The schema that this program needs.
const NEEDED: &Migration = &MIGRATIONS[MIGRATIONS.len() - 1];

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

/// Applies what is missing; gives the names.
pub async fn migrate(connection: &mut PgConnection) -> DbResult<Vec<String>> {
    runner::run(connection, &MIGRATIONS).await
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
