//! Deduplication of client messages.

use crate::{
    db::{self, statements},
    error::DbResult,
    row,
    writer::Tx,
};
use longhaul_domain::{OwnerId, Seq, TaskKey};
use longhaul_store::{DedupeKey, MessageLookup};
use rusqlite::Connection;

/// Time for which a message is recognised, in milliseconds.
const DEDUPE_WINDOW_MS: i64 = 24 * 3_600 * 1_000;

statements! {
    FIND = "-- store::dedupe
        SELECT content, task, seq FROM message_keys WHERE owner_id = ?1 AND key = ?2 AND at > ?3";
    REMEMBER = "-- store::dedupe
        INSERT INTO message_keys (owner_id, key, content, task, seq, at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (owner_id, key) DO UPDATE
        SET content = excluded.content, task = excluded.task, seq = excluded.seq, at = excluded.at";
    OLD = "-- store::forget_messages
        SELECT owner_id, key FROM message_keys WHERE at <= ?1 ORDER BY at LIMIT ?2";
    FORGET = "-- store::forget_messages
        DELETE FROM message_keys WHERE owner_id = ?1 AND key = ?2";
}

/// Looks up a deduplication key that was recorded in the last 24 hours.
pub fn lookup(
    conn: &Connection,
    now: i64,
    owner: OwnerId,
    dedupe: &DedupeKey,
) -> DbResult<MessageLookup> {
    let params = (owner.0, &dedupe.key[..], now - DEDUPE_WINDOW_MS);
    let found = db::one(conn, FIND, params, |row| {
        let same = row.get_ref(0)?.as_blob() == Ok(&dedupe.content[..]);
        let (task, seq) = (row::parsed(row, 1)?, row::seq(row, 2)?);
        Ok(if same { MessageLookup::Duplicate { task, seq } } else { MessageLookup::KeyReused })
    })?;
    Ok(found.unwrap_or(MessageLookup::Unknown))
}

pub fn record(tx: &Tx<'_>, key: TaskKey, seq: Seq, dedupe: &DedupeKey) -> DbResult<()> {
    let (id, content) = (&dedupe.key[..], &dedupe.content[..]);
    let params = (key.owner.0, id, content, key.task.to_string(), seq.0, tx.now);
    db::run(tx.conn, REMEMBER, params)?;
    Ok(())
}

/// Returns whether a message of this time is no longer recognised.
pub const fn is_expired(at: i64, now: i64) -> bool {
    at <= now - DEDUPE_WINDOW_MS
}

/// Deletes some of the keys that have expired.
pub fn delete_expired(tx: &Tx<'_>, limit: u32) -> DbResult<()> {
    let old = db::all(tx.conn, OLD, (tx.now - DEDUPE_WINDOW_MS, limit), |row| {
        Ok((row.get::<_, i64>("owner_id")?, row.get::<_, Vec<u8>>("key")?))
    })?;
    for key in old {
        db::run(tx.conn, FORGET, key)?;
    }
    Ok(())
}
