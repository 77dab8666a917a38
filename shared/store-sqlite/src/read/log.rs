//! Pages of logs, and large contents.

use crate::{
    db::{self, statements},
    error::DbResult,
    row,
};
use bytes::Bytes;
use longhaul_domain::{BlobHash, LogEntry, OwnerId, Seq, TaskKey};
use longhaul_store::{LogPage, ReadLimit};
use rusqlite::Connection;
use std::collections::HashMap;

statements! {
    PLACE = "-- store::read_log
        SELECT last_seq, state FROM task_state WHERE owner_id = ?1 AND task = ?2";
    ENTRIES = "-- store::read_log
        SELECT seq, at, attempt, kind, body FROM log
        WHERE owner_id = ?1 AND task = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4";
    ENTRY = "-- store::read_entry
        SELECT seq, at, attempt, kind, body FROM log WHERE owner_id = ?1 AND task = ?2 AND seq = ?3";
    BLOB = "-- store::read_blobs
        SELECT bytes FROM blobs WHERE owner_id = ?1 AND hash = ?2";
}

/// Reads entries after a position; `None`: no such task.
pub fn read_log(
    conn: &Connection,
    key: TaskKey,
    after: Seq,
    limit: ReadLimit,
) -> DbResult<Option<LogPage>> {
    let (owner, task) = (key.owner.0, key.task.to_string());
    let place =
        db::one(conn, PLACE, (owner, &task), |row| Ok((row::seq(row, 0)?, row::state(row, 1)?)))?;
    let Some((last_seq, state)) = place else { return Ok(None) };
    let mut page = LogPage { entries: Vec::new(), last_seq, state };
    let mut statement = conn.prepare_cached(ENTRIES)?;
    let mut rows = statement.query((owner, &task, after.0, limit.rows.max(1)))?;
    let mut bytes = 0u64;
    while bytes < limit.bytes.max(1)
        && let Some(row) = rows.next()?
    {
        let body = row.get_ref(4)?.as_str().map_err(|e| row::corrupt("body", e))?;
        bytes = bytes.saturating_add(u64::try_from(body.len()).unwrap_or(u64::MAX));
        page.entries.push(row::entry(row)?);
    }
    Ok(Some(page))
}

/// Reads the logs of many tasks; those without new entries are left out.
pub fn read_logs(
    conn: &Connection,
    cursors: Vec<(TaskKey, Seq)>,
    limit: ReadLimit,
) -> DbResult<Vec<(TaskKey, LogPage)>> {
    let mut logs = Vec::new();
    for (key, after) in cursors {
        if let Some(page) = read_log(conn, key, after, limit)?
            && !page.entries.is_empty()
        {
            logs.push((key, page));
        }
    }
    Ok(logs)
}

/// Reads an entry that must exist.
pub fn entry_at(conn: &Connection, key: TaskKey, seq: Seq) -> DbResult<LogEntry> {
    let params = (key.owner.0, key.task.to_string(), seq.0);
    let entry = db::one(conn, ENTRY, params, row::entry)?;
    entry
        .ok_or_else(|| row::corrupt("log.seq", format!("entry {seq} of task {} is gone", key.task)))
}

/// Reads large contents; those that the owner does not have are left out.
pub fn read_blobs(
    conn: &Connection,
    owner: OwnerId,
    hashes: Vec<BlobHash>,
) -> DbResult<HashMap<BlobHash, Bytes>> {
    let mut blobs = HashMap::new();
    for hash in hashes {
        let bytes = db::one(conn, BLOB, (owner.0, &hash.0[..]), |row| {
            Ok(Bytes::from(row.get::<_, Vec<u8>>(0)?))
        })?;
        blobs.extend(bytes.map(|bytes| (hash, bytes)));
    }
    Ok(blobs)
}
