//! Startup checks: the database can store what Longhaul writes, and its sessions are kept.

use super::{Servers, SessionKind};
use crate::error::{DbError, DbResult, POOLER_BREAKS_LISTEN};
use sqlx_core::{connection::Connection, query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::{PgConnection, PgPool};

/// Reads encoding, schema, search path and durability settings of the database.
pub const READ_DATABASE: &str = "-- store::read_database
select d.datname::text, pg_encoding_to_char(d.encoding)::text, current_schema() is not null, current_setting('search_path'),
    current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on'
from pg_database d
where d.datname = current_database()";

/// Identifies the server session.
pub const READ_BACKEND: &str = "-- store::read_backend
select pg_backend_pid()";

/// Tests whether the settings of a synchronous session are in effect.
pub const HAS_SETTINGS: &str = "-- store::has_settings
select current_setting('plan_cache_mode') = 'force_generic_plan' and current_setting('synchronous_commit') <> 'off'";

/// Rejects a database that cannot store every text, or in which this role has no schema for tables.
pub async fn check(connection: &mut PgConnection) -> DbResult<()> {
    let (name, encoding, has_schema, search_path, durable) =
        query_as::<_, (String, String, bool, String, bool)>(READ_DATABASE)
            .fetch_one(connection)
            .await?;
    if encoding != "UTF8" {
        return Err(DbError::Schema(format!(
            "the database {name} has the encoding {encoding}, which cannot hold every text: create one with \
             `create database … encoding 'UTF8' template template0`"
        )));
    }
    if !has_schema {
        return Err(DbError::Schema(format!(
            "search_path ({search_path}) names no schema that exists and that this role may use: create the schema, or \
             correct search_path, which may be set in the database's URL, for the role or for the database"
        )));
    }
    if !durable {
        tracing::warn!(
            "fsync or full_page_writes is off: a database crash loses acknowledged tasks"
        );
    }
    Ok(())
}

/// Rejects a pooler that spreads a connection's transactions over several server sessions.
///
/// While a second connection holds the server session that the first one used, such a pooler gives
/// the first another one.
pub async fn check_sessions(servers: &Servers, connection: &mut PgConnection) -> DbResult<()> {
    let mut other = servers.open(SessionKind::Plain).await?;
    let before = backend(connection).await?;
    // An open transaction pins the second connection to its server session.
    let mut transaction = other.begin().await?;
    backend(&mut transaction).await?;
    let after = backend(connection).await?;
    transaction.rollback().await?;
    other.close().await?;
    if before == after { Ok(()) } else { Err(DbError::Schema(POOLER_BREAKS_LISTEN.to_owned())) }
}

async fn backend(connection: &mut PgConnection) -> DbResult<i32> {
    Ok(query_scalar(READ_BACKEND).fetch_one(connection).await?)
}

/// Checks that settings made when a connection was opened still hold when it is used.
pub async fn check_settings(pool: &PgPool) -> DbResult<()> {
    if query_scalar::<_, bool>(HAS_SETTINGS).fetch_one(pool).await? {
        return Ok(());
    }
    Err(DbError::Schema(format!(
        "session settings are lost between statements: {POOLER_BREAKS_LISTEN}"
    )))
}
