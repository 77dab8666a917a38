//! Which messages came before.

use crate::{
    db::{self, statements},
    error::Result,
    row,
    writer::Tx,
};
use longhaul_domain::{OwnerId, Seq, TaskId, TaskKey};
use longhaul_store::DedupeKey;

/// How long a message is recognised, in milliseconds.
const KEPT: i64 = 24 * 3_600 * 1_000;

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

/// Whether a message came before.
pub enum Seen {
    Never,
    Before {
        task: TaskId,
        seq: Seq,
    },
    /// Its key did, with other content.
    Otherwise,
}

pub fn seen(tx: &Tx<'_>, owner: OwnerId, dedupe: &DedupeKey) -> Result<Seen> {
    let params = (owner.0, &dedupe.key[..], tx.now - KEPT);
    let found = db::one(tx.conn, FIND, params, |row| {
        let same = row.get_ref(0)?.as_blob() == Ok(&dedupe.content[..]);
        let (task, seq) = (row::parsed(row, 1)?, row::seq(row, 2)?);
        Ok(if same { Seen::Before { task, seq } } else { Seen::Otherwise })
    })?;
    Ok(found.unwrap_or(Seen::Never))
}

pub fn remember(tx: &Tx<'_>, key: TaskKey, seq: Seq, dedupe: &DedupeKey) -> Result<()> {
    let (id, content) = (&dedupe.key[..], &dedupe.content[..]);
    let params = (key.owner.0, id, content, key.task.to_string(), seq.0, tx.now);
    db::run(tx.conn, REMEMBER, params)?;
    Ok(())
}

/// Whether a message of this time is not recognised any more.
pub const fn is_old(at: i64, now: i64) -> bool {
    at <= now - KEPT
}

/// Forgets some of those that do not count any more.
pub fn forget(tx: &Tx<'_>, limit: u32) -> Result<()> {
    let old = db::all(tx.conn, OLD, (tx.now - KEPT, limit), |row| {
        Ok((row.get::<_, i64>("owner_id")?, row.get::<_, Vec<u8>>("key")?))
    })?;
    for key in old {
        db::run(tx.conn, FORGET, key)?;
    }
    Ok(())
}
