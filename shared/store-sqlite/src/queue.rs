//! The queue: one row for each queued or running task, and the limits on what runs at once.
//!
//! An unclaimed run is in one of three stages; claims read only those that are ready.
//! Everything is counted in the rows by the only writer, so a limit is exact and no counter can
//! drift. A run that is found while its concurrency key is in use is held back. When a run frees a
//! key (it ends, or returns to the queue), the next run of that key becomes ready in the same
//! transaction; a claim does the same if the key has room left. Runs that still wait for a free key
//! (because a ready run of the key was removed or no worker may take it) are found by
//! [`orphaned_keys`].

use crate::{
    db::{self, statements},
    error::DbResult,
    row,
    writer::Tx,
};
use longhaul_domain::{AgentName, TaskKey};
use rusqlite::{Connection, named_params};
use uuid::Uuid;

statements! {
    LOAD = "-- store::run
        SELECT agent, run_at, attempt, epoch, token, worker IS NOT NULL, cancel_at, handed_back, losses, stage,
               concurrency_key, version
        FROM runs WHERE owner_id = ?1 AND task = ?2";
    OFFER = "-- store::offer
        INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses, trace, stage,
                          queue_until, concurrency_key, version)
        VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, 0, 0, ?7, ?8, ?9, ?10, ?11)";
    OFFER_AGAIN = "-- store::offer_again
        UPDATE runs
        SET run_at = :run_at, attempt = :attempt, epoch = epoch + 1, token = NULL, worker = NULL,
            handed_back = :handed_back, losses = :losses, stage = :stage
        WHERE owner_id = :owner AND task = :task";
    SET_CANCEL = "-- store::request_cancel
        UPDATE runs SET cancel_at = ?3 WHERE owner_id = ?1 AND task = ?2";
    MADE_PROGRESS = "-- store::append
        UPDATE runs SET losses = 0 WHERE owner_id = ?1 AND task = ?2";
    REMOVE = "-- store::settle
        DELETE FROM runs WHERE owner_id = ?1 AND task = ?2";
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

/// Stage of an unclaimed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStage {
    /// Can be claimed.
    Ready,
    /// Its due time has not come.
    Scheduled,
    /// Its concurrency key is in use.
    HeldBack,
}

impl RunStage {
    pub const fn number(self) -> i64 {
        match self {
            Self::Ready => 0,
            Self::Scheduled => 1,
            Self::HeldBack => 2,
        }
    }

    /// Returns the stage of a run that is due at `run_at`.
    pub const fn at(run_at: i64, now: i64) -> Self {
        if run_at > now { Self::Scheduled } else { Self::Ready }
    }
}

/// A queued or running task.
#[derive(Debug, Clone)]
pub struct Run {
    pub key: TaskKey,
    pub agent: AgentName,
    pub due_at: i64,
    pub attempt: i32,
    pub epoch: i32,
    pub token: Option<Uuid>,
    pub claimed: bool,
    pub cancel_at: Option<i64>,
    pub handed_back: bool,
    pub losses: i32,
    pub ready: bool,
    pub concurrency_key: Option<String>,
    /// Version of the executor that the run is pinned to.
    pub version: Option<String>,
}

impl Run {
    pub fn load(conn: &Connection, key: TaskKey) -> DbResult<Option<Self>> {
        db::one(conn, LOAD, (key.owner.0, key.task.to_string()), |row| {
            Ok(Self {
                key,
                agent: row::parsed(row, 0)?,
                due_at: row.get(1)?,
                attempt: row.get(2)?,
                epoch: row.get(3)?,
                token: row::token(row, 4)?,
                claimed: row.get(5)?,
                cancel_at: row.get(6)?,
                handed_back: row.get(7)?,
                losses: row.get(8)?,
                ready: row.get::<_, i64>(9)? == RunStage::Ready.number(),
                concurrency_key: row.get(10)?,
                version: row.get(11)?,
            })
        })
    }

    /// Returns the number of attempts so far: a running one counts, one that has yet to start does
    /// not.
    pub const fn attempts(&self) -> i32 {
        if self.claimed { self.attempt } else { self.attempt.saturating_sub(1) }
    }

    /// Takes the run from its worker and offers it again, as it stands in `self`. Its previous
    /// holder cannot write any longer.
    pub fn offer_again(&self, tx: &mut Tx<'_>) -> DbResult<()> {
        db::run(
            tx.conn,
            OFFER_AGAIN,
            named_params! {
                ":owner": self.key.owner.0, ":task": self.key.task.to_string(), ":run_at": self.due_at,
                ":attempt": self.attempt, ":handed_back": self.handed_back, ":losses": self.losses,
                ":stage": RunStage::at(self.due_at, tx.now).number(),
            },
        )?;
        self.frees_its_key(tx)
    }

    /// Removes the run from the queue.
    pub fn remove(&self, tx: &mut Tx<'_>) -> DbResult<()> {
        db::run(tx.conn, REMOVE, (self.key.owner.0, self.key.task.to_string()))?;
        self.frees_its_key(tx)
    }

    fn frees_its_key(&self, tx: &mut Tx<'_>) -> DbResult<()> {
        // Only a run that holds its key, or is ready to take it, passes the key on.
        if let Some(key) = &self.concurrency_key
            && (self.claimed || self.ready)
        {
            release_one(tx, self.agent.as_str(), self.key.owner.0, key)?;
        }
        Ok(())
    }

    /// Sets the time by which it must have stopped.
    pub fn cancel_at(&self, conn: &Connection, at: i64) -> DbResult<()> {
        db::run(conn, SET_CANCEL, (self.key.owner.0, self.key.task.to_string(), at))?;
        Ok(())
    }
}

/// Resets the losses of a run that has made progress.
pub fn made_progress(conn: &Connection, key: TaskKey) -> DbResult<()> {
    db::run(conn, MADE_PROGRESS, (key.owner.0, key.task.to_string()))?;
    Ok(())
}

/// A run that starts a turn.
pub struct NewRun<'a> {
    pub key: TaskKey,
    pub agent: &'a AgentName,
    pub priority: i16,
    pub run_at: i64,
    pub epoch: i32,
    pub trace: Option<&'a str>,
    /// Maximum time that it may be runnable without being claimed, in milliseconds.
    pub queue_timeout: Option<i64>,
    pub concurrency_key: Option<&'a str>,
    pub version: Option<&'a str>,
}

impl NewRun<'_> {
    pub fn offer(&self, tx: &Tx<'_>) -> DbResult<()> {
        let queue_until = self.queue_timeout.map(|timeout| self.run_at.saturating_add(timeout));
        let (owner, task, agent) =
            (self.key.owner.0, self.key.task.to_string(), self.agent.as_str());
        let (run_at, epoch, trace) = (self.run_at, self.epoch, self.trace);
        let stage = RunStage::at(run_at, tx.now).number();
        let (key, version) = (self.concurrency_key, self.version);
        let run = (
            owner,
            task,
            agent,
            self.priority,
            run_at,
            epoch,
            trace,
            stage,
            queue_until,
            key,
            version,
        );
        db::run(tx.conn, OFFER, run)?;
        Ok(())
    }
}

/// Counts the running tasks of an agent.
pub fn running(conn: &Connection, agent: &str) -> DbResult<u32> {
    Ok(db::one(conn, RUNNING, (agent,), |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// Counts the running tasks of an agent and owner.
pub fn running_of_owner(conn: &Connection, agent: &str, owner: i32) -> DbResult<u32> {
    Ok(db::one(conn, RUNNING_OF_OWNER, (agent, owner), |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// Counts the running tasks of an agent, owner and concurrency key.
pub fn running_of_key(conn: &Connection, agent: &str, owner: i32, key: &str) -> DbResult<u32> {
    Ok(db::one(conn, RUNNING_OF_KEY, (agent, owner, key), |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// Moves an unclaimed run to another stage.
pub fn move_to(conn: &Connection, key: TaskKey, stage: RunStage) -> DbResult<()> {
    db::run(conn, SET_STAGE, (key.owner.0, key.task.to_string(), stage.number()))?;
    Ok(())
}

/// Makes the first run that waits for a key ready, if there is one, and signals workers.
pub fn release_one(
    tx: &mut Tx<'_>,
    agent: &str,
    owner: i32,
    key: &str,
) -> DbResult<Option<(AgentName, TaskKey)>> {
    let first = db::one(tx.conn, FIRST_HELD_BACK, (agent, owner, key), |row| {
        Ok((row::agent(row)?, row::key(row)?))
    })?;
    if let Some(run) = &first {
        move_to(tx.conn, run.1, RunStage::Ready)?;
        tx.effects.runnable.push(run.clone());
    }
    Ok(first)
}

/// A concurrency key for which runs wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConcurrencyKey {
    pub agent: String,
    pub owner: i32,
    pub key: String,
}

/// Finds keys for which runs wait although no run holds them. Checks `max_keys` keys after a
/// position, which it advances; after the last key it starts again.
pub fn orphaned_keys(
    conn: &Connection,
    place: &mut ConcurrencyKey,
    max_keys: usize,
) -> DbResult<Vec<ConcurrencyKey>> {
    let mut orphaned_keys = Vec::new();
    for _ in 0..max_keys {
        let after = (&place.agent, place.owner, &place.key);
        let next = db::one(conn, NEXT_KEY, after, |row| {
            Ok(ConcurrencyKey { agent: row.get(0)?, owner: row.get(1)?, key: row.get(2)? })
        })?;
        let Some(next) = next else {
            *place = ConcurrencyKey::default();
            break;
        };
        if running_of_key(conn, &next.agent, next.owner, &next.key)? == 0 {
            orphaned_keys.push(next.clone());
        }
        *place = next;
    }
    Ok(orphaned_keys)
}
