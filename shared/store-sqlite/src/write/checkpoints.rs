//! Results that runs keep by name.

use crate::{
    db::{self, statements},
    error::Result,
    row,
    writer::Tx,
};
use longhaul_domain::{Checkpoint, CheckpointName, Json, TaskKey};
use rusqlite::Connection;

statements! {
    KEEP = "-- store::append
        INSERT INTO checkpoints (owner_id, task, name, attempt, at, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (owner_id, task, name) DO UPDATE
        SET attempt = excluded.attempt, at = excluded.at, value = excluded.value";
    READ = "-- store::read_checkpoint
        SELECT value FROM checkpoints WHERE owner_id = ?1 AND task = ?2 AND name = ?3";
    ANY = "-- store::claim
        SELECT 1 FROM checkpoints WHERE owner_id = ?1 AND task = ?2 LIMIT 1";
}

/// Keeps checkpoints; a later one takes the place of an earlier one of the same name.
pub fn keep(tx: &Tx<'_>, key: TaskKey, attempt: i32, checkpoints: &[Checkpoint]) -> Result<()> {
    let task = key.task.to_string();
    for Checkpoint { name, value } in checkpoints {
        let row = (key.owner.0, &task, name.as_str(), attempt, tx.now, value.as_str());
        db::run(tx.conn, KEEP, row)?;
    }
    Ok(())
}

pub fn read(conn: &Connection, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
    db::one(conn, READ, (key.owner.0, key.task.to_string(), name.as_str()), |row| {
        Json::parse(&row.get::<_, String>(0)?).map_err(|e| row::corrupt("checkpoints.value", e))
    })
}

/// Whether a task has any.
pub fn any(conn: &Connection, key: TaskKey) -> Result<bool> {
    Ok(db::one(conn, ANY, (key.owner.0, key.task.to_string()), |_| Ok(()))?.is_some())
}
