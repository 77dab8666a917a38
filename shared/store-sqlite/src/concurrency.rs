//! How many runs are under way, and who waits for a concurrency key.
//!
//! Everything is counted in the rows themselves, by the one writer: a limit is exact, and nothing can drift. A run that
//! is found while its key is in use is held back; whoever frees the key makes one that waits for it ready again, and a
//! claim does so when the key still has room. What is left over after all (a run of the key that is ready, but that no
//! worker may take) is found by [`strays`].

use crate::{
    db::{self, statements},
    error::Result,
    queue::Stage,
    row,
    writer::Tx,
};
use longhaul_domain::{AgentName, TaskKey};
use rusqlite::Connection;

statements! {
    RUNNING = "-- store::claim
        SELECT count(*) FROM runs INDEXED BY runs_running WHERE agent = ?1 AND worker IS NOT NULL";
    RUNNING_OF_OWNER = "-- store::claim
        SELECT count(*) FROM runs INDEXED BY runs_running
        WHERE agent = ?1 AND owner_id = ?2 AND worker IS NOT NULL";
    RUNNING_OF_KEY = "-- store::claim
        SELECT count(*) FROM runs INDEXED BY runs_running
        WHERE agent = ?1 AND owner_id = ?2 AND concurrency_key = ?3 AND worker IS NOT NULL";
    FIRST_HELD_BACK = "-- store::release_key
        SELECT owner_id, task, agent FROM runs INDEXED BY runs_held_back
        WHERE agent = ?1 AND owner_id = ?2 AND concurrency_key = ?3 AND worker IS NULL AND stage = 2
        ORDER BY priority DESC, run_at, task
        LIMIT 1";
    SET_STAGE = "-- store::release_key
        UPDATE runs SET stage = ?3 WHERE owner_id = ?1 AND task = ?2";
    NEXT_KEY = "-- store::reap
        SELECT agent, owner_id, concurrency_key FROM runs INDEXED BY runs_held_back
        WHERE worker IS NULL AND stage = 2 AND (agent, owner_id, concurrency_key) > (?1, ?2, ?3)
        ORDER BY agent, owner_id, concurrency_key
        LIMIT 1";
}

/// How many runs of an agent are under way.
pub fn running(conn: &Connection, agent: &str) -> Result<u32> {
    Ok(db::one(conn, RUNNING, (agent,), |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// The same, of one owner.
pub fn running_of_owner(conn: &Connection, agent: &str, owner: i32) -> Result<u32> {
    Ok(db::one(conn, RUNNING_OF_OWNER, (agent, owner), |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// The same, of one owner and key.
pub fn running_of_key(conn: &Connection, agent: &str, owner: i32, key: &str) -> Result<u32> {
    Ok(db::one(conn, RUNNING_OF_KEY, (agent, owner, key), |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// Moves a run that is not claimed to another stage.
pub fn move_to(conn: &Connection, key: TaskKey, stage: Stage) -> Result<()> {
    db::run(conn, SET_STAGE, (key.owner.0, key.task.to_string(), stage.number()))?;
    Ok(())
}

/// Makes the first of the runs ready that wait for a key, if there is one, and lets workers know.
pub fn release_one(
    tx: &mut Tx<'_>,
    agent: &str,
    owner: i32,
    key: &str,
) -> Result<Option<(AgentName, TaskKey)>> {
    let first = db::one(tx.conn, FIRST_HELD_BACK, (agent, owner, key), |row| {
        Ok((row::agent(row)?, row::key(row)?))
    })?;
    if let Some(run) = &first {
        move_to(tx.conn, run.1, Stage::Ready)?;
        tx.effects.runnable.push(run.clone());
    }
    Ok(first)
}

/// A concurrency key for which runs wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldKey {
    pub agent: String,
    pub owner: i32,
    pub key: String,
}

/// Keys for which runs wait though nobody uses them. Looks at `most` keys behind a place, which it moves on; behind the
/// last key it begins again.
pub fn strays(conn: &Connection, place: &mut HeldKey, most: usize) -> Result<Vec<HeldKey>> {
    let mut strays = Vec::new();
    for _ in 0..most {
        let after = (&place.agent, place.owner, &place.key);
        let next = db::one(conn, NEXT_KEY, after, |row| {
            Ok(HeldKey { agent: row.get(0)?, owner: row.get(1)?, key: row.get(2)? })
        })?;
        let Some(next) = next else {
            *place = HeldKey::default();
            break;
        };
        if running_of_key(conn, &next.agent, next.owner, &next.key)? == 0 {
            strays.push(next.clone());
        }
        *place = next;
    }
    Ok(strays)
}
