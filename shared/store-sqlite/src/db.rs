//! Connections and the few ways in which statements are run.

use crate::error::Result;
use rusqlite::{Connection, OpenFlags, Params, Row, config::DbConfig};
use std::{path::Path, time::Duration};

/// Statements with their names, and a list of them all, so that a test can prepare each.
macro_rules! statements {
    ($($name:ident = $sql:literal;)+) => {
        $(pub(crate) const $name: &str = $sql;)+
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $sql)),+];
    };
}
pub(crate) use statements;

/// Opens the file, for writing and with the write-ahead log on. Fails on a file that is no database.
pub fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    prepare_once(&conn, 128)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Checkpoints copy pages into the file and sync it: every 16 MiB, so that most writes do not wait for one.
    conn.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(conn)
}

/// Opens the file for reading. It is a writable connection that is told not to write, because one that is read-only
/// could not recover the write-ahead log of a crash.
pub fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    prepare_once(&conn, 64)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Statements are kept, and stay as they were prepared: otherwise those whose plan could be another one for another value
/// are prepared anew each time that a value is bound. A test knows the plan of each, which depends on no value.
fn prepare_once(conn: &Connection, statements: usize) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(statements);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Every row.
pub fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_and_then(params, map)?.collect()
}

/// The first row, if there is one.
pub fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    conn.prepare_cached(sql)?.query_and_then(params, map)?.next().transpose()
}

/// Runs a statement that takes and gives nothing.
pub fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Does some work whole or not at all, within a transaction that goes on either way.
pub fn alone<T>(conn: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    execute(conn, "SAVEPOINT alone")?;
    let done = work();
    // After a grave error nothing is left to be rolled back.
    if done.is_err() && !conn.is_autocommit() {
        execute(conn, "ROLLBACK TO alone")?;
    }
    if !conn.is_autocommit() {
        execute(conn, "RELEASE alone")?;
    }
    done
}

/// Writes, and tells how many rows it changed.
pub fn run(conn: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}
