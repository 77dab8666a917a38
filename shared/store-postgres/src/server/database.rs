//! Whether a database can hold what Longhaul stores, and whether its sessions are kept. Asked once, at start.

use super::{Servers, SessionKind};
use crate::failure::{DbResult, Failure, POOLED};
use sqlx_core::{connection::Connection, query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::{PgConnection, PgPool};

/// Reads what a database was created with and where tables would go.
pub const READ_DATABASE: &str = "-- store::read_database
select d.datname::text, pg_encoding_to_char(d.encoding)::text, current_schema() is not null, current_setting('search_path'),
    current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on'
from pg_database d
where d.datname = current_database()";

/// Tells server sessions apart.
pub const READ_BACKEND: &str = "-- store::read_backend
select pg_backend_pid()";

/// Whether the settings of a synchronous session hold.
pub const HAS_SETTINGS: &str = "-- store::has_settings
select current_setting('plan_cache_mode') = 'force_generic_plan' and current_setting('synchronous_commit') <> 'off'";

/// Refuses a database that cannot hold every message, or in which tables have no place.
pub async fn check(connection: &mut PgConnection) -> DbResult<()> {
    let (name, encoding, has_schema, search_path, durable) =
        query_as::<_, (String, String, bool, String, bool)>(READ_DATABASE)
            .fetch_one(connection)
            .await?;
    if encoding != "UTF8" {
        return Err(Failure::Schema(format!(
            "the database {name} has the encoding {encoding}, which cannot hold every text: create one with \
             `create database … encoding 'UTF8' template template0`"
        )));
    }
    if !has_schema {
        return Err(Failure::Schema(format!(
            "search_path ({search_path}) names no schema that exists and that this role may use: create the schema, or \
             correct search_path, which may be set in the database's URL, for the role or for the database"
        )));
    }
    if !durable {
        tracing::warn!(
            "the database server has fsync or full_page_writes off: a crash loses acknowledged tasks"
        );
    }
    Ok(())
}

/// Refuses a pooler that hands a connection's transactions to several server sessions. While another connection holds the
/// session that this one had last, this one would get another.
pub async fn check_sessions(servers: &Servers, connection: &mut PgConnection) -> DbResult<()> {
    let mut other = servers.open(SessionKind::Plain).await?;
    let before = backend(connection).await?;
    let mut transaction = other.begin().await?;
    backend(&mut transaction).await?;
    let after = backend(connection).await?;
    transaction.rollback().await?;
    other.close().await?;
    if before == after { Ok(()) } else { Err(Failure::Schema(POOLED.to_owned())) }
}

async fn backend(connection: &mut PgConnection) -> DbResult<i32> {
    Ok(query_scalar(READ_BACKEND).fetch_one(connection).await?)
}

/// Checks that settings made when a connection was opened still hold when it is used.
pub async fn check_settings(pool: &PgPool) -> DbResult<()> {
    if query_scalar::<_, bool>(HAS_SETTINGS).fetch_one(pool).await? {
        return Ok(());
    }
    Err(Failure::Schema(format!("the settings of a session do not hold: {POOLED}")))
}
