//! The migrations, and the check that a database's schema fits this program.

use crate::error::{DbError, DbResult};
use sqlx_core::{query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::PgConnection;

/// A migration from one schema version to the next. Its text may be divided into
/// [`steps`](super::steps).
pub struct Migration {
    /// Schema version after it.
    pub version: i32,
    /// Compatibility number: programs that know it or a higher one can use the schema.
    pub major: i32,
    /// File name without extension.
    pub name: &'static str,
    /// Text of the migration.
    pub sql: &'static str,
}

/// Migrations in order.
pub const MIGRATIONS: [Migration; 8] = [
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

/// Schema that this program requires.
const REQUIRED: &Migration = &MIGRATIONS[MIGRATIONS.len() - 1];

/// Tests whether the table of migrations exists.
pub const HAS_SCHEMA: &str = "-- store::has_schema
select to_regclass('longhaul_schema') is not null";

/// Reads the last applied version.
pub const READ_SCHEMA: &str = "-- store::read_schema
select coalesce(max(version), 0), coalesce(max(major), 0) from longhaul_schema";

/// Reads the last applied version and whether the server is writable, of a migrated database.
pub const CHECK_WRITABLE: &str = "-- store::check_writable
select not (pg_is_in_recovery() or current_setting('transaction_read_only') = 'on'),
    coalesce(max(version), 0), coalesce(max(major), 0)
from longhaul_schema";

/// Checks that the database has this program's schema, or a compatible newer one.
pub async fn check(connection: &mut PgConnection) -> DbResult<()> {
    let there: bool = query_scalar(HAS_SCHEMA).fetch_one(&mut *connection).await?;
    let (version, major) = if there { applied_version(connection).await? } else { (0, 0) };
    check_version(version, major)
}

/// Checks schema and server with one statement. `false` means that something is wrong; the
/// individual checks tell what.
pub async fn is_current_and_writable(connection: &mut PgConnection) -> bool {
    let answer = query_as::<_, (bool, i32, i32)>(CHECK_WRITABLE).fetch_one(connection).await;
    answer.is_ok_and(|(writes, version, major)| writes && check_version(version, major).is_ok())
}

fn check_version(version: i32, major: i32) -> DbResult<()> {
    check_not_newer(version, major)?;
    // A newer version with the same major number is compatible.
    if version < REQUIRED.version {
        return Err(DbError::Schema(format!(
            "the database has schema version {version} and this program needs {}: run `longhaul migrate`",
            REQUIRED.version
        )));
    }
    Ok(())
}

pub async fn applied_version(connection: &mut PgConnection) -> DbResult<(i32, i32)> {
    Ok(query_as(READ_SCHEMA).fetch_one(connection).await?)
}

pub fn check_not_newer(version: i32, major: i32) -> DbResult<()> {
    if major <= REQUIRED.major {
        return Ok(());
    }
    Err(DbError::Schema(format!(
        "the database has schema version {version}, created by a newer Longhaul that this program is not compatible with: \
         install the newer program"
    )))
}
