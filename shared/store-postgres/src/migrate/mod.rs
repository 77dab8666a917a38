//! Migrates a database to this program's schema, also while older programs use it.
//!
//! Guarantees: any number of concurrent `migrate` runs apply each step once. A run that dies leaves
//! whole steps behind, and the next one continues there. No statement of a running system waits for
//! a step longer than [`runner::LOCK_TIMEOUT`] plus the moment that the step takes. A new database
//! is created in one transaction.
//!
//! Released migrations never change. One with the same major number is compatible with running
//! older programs; a new major number is not.

mod runner;
mod schema;
mod steps;

pub use runner::{
    CLEAR_PROGRESS, HAS_INDEX, READ_PROGRESS, RECORD_MIGRATION, RECORD_STEP, TRY_LOCK_SCHEMA,
    UNLOCK_SCHEMA,
};
pub use schema::{CHECK_WRITABLE, HAS_SCHEMA, READ_SCHEMA, check, is_current_and_writable};

use crate::error::DbResult;
use sqlx_postgres::PgConnection;

/// Applies missing migrations; returns their names.
pub async fn migrate(connection: &mut PgConnection) -> DbResult<Vec<String>> {
    runner::run(connection, &schema::MIGRATIONS).await
}
