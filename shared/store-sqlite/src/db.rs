//! Connections, and helpers for running statements.

use crate::error::DbResult;
use rusqlite::{Connection, OpenFlags, Params, Row, config::DbConfig};
use std::{path::Path, time::Duration};

/// Defines named statements and a list of them all, so that a test can prepare each.
macro_rules! statements {
    ($($name:ident = $sql:literal;)+) => {
        $(pub(crate) const $name: &str = $sql;)+
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $sql)),+];
    };
}
pub(crate) use statements;

/// Opens the file for writing, with the write-ahead log on. Fails on a file that is no database.
pub fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    prepare_once(&conn, 128)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Checkpoints copy pages into the file and sync it. Every 16 MiB, so that most writes do not
    // wait for one.
    conn.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(conn)
}

/// Opens the file for reading. The connection is writable and set to `query_only`: a read-only one
/// could not recover the write-ahead log after a crash.
pub fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    prepare_once(&conn, 64)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Keeps statements prepared. Without the stable planner, SQLite prepares a statement again at each
/// bind if its plan could differ for another value. A test checks each plan, and none depends on a
/// value.
fn prepare_once(conn: &Connection, statements: usize) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(statements);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Reads all rows.
pub fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> DbResult<T>,
) -> DbResult<Vec<T>> {
    conn.prepare_cached(sql)?.query_and_then(params, map)?.collect()
}

/// Reads the first row, if there is one.
pub fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> DbResult<T>,
) -> DbResult<Option<T>> {
    conn.prepare_cached(sql)?.query_and_then(params, map)?.next().transpose()
}

/// Runs a statement without parameters or rows.
pub fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Runs work inside a savepoint, so that it takes effect whole or not at all; the transaction
/// continues either way.
pub fn in_savepoint<T>(conn: &Connection, work: impl FnOnce() -> DbResult<T>) -> DbResult<T> {
    execute(conn, "SAVEPOINT alone")?;
    let done = work();
    // A grave error (such as a full disk) has already rolled back the whole transaction.
    if done.is_err() && !conn.is_autocommit() {
        execute(conn, "ROLLBACK TO alone")?;
    }
    if !conn.is_autocommit() {
        execute(conn, "RELEASE alone")?;
    }
    done
}

/// Runs a write and returns the number of changed rows.
pub fn run(conn: &Connection, sql: &str, params: impl Params) -> DbResult<usize> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}
