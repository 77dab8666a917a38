//! Runs: one row for each task that is queued or running.
//!
//! A run that is not claimed stands in one of three [stages](Stage); only what is ready is looked at by claims. Whenever
//! a run leaves the place that its concurrency key allows (it ends, or goes back), the next one of that key becomes
//! ready in the same transaction.

use crate::{
    concurrency,
    db::{self, statements},
    error::Result,
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
}

/// Where a run stands that is not claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It can be claimed.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// Its concurrency key is in use.
    HeldBack,
}

impl Stage {
    pub const fn number(self) -> i64 {
        match self {
            Self::Ready => 0,
            Self::Scheduled => 1,
            Self::HeldBack => 2,
        }
    }

    /// Where a run stands that is due at this time.
    pub const fn of(run_at: i64, now: i64) -> Self {
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
    /// Of the executor to which it is pinned.
    pub version: Option<String>,
}

impl Run {
    pub fn load(conn: &Connection, key: TaskKey) -> Result<Option<Self>> {
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
                ready: row.get::<_, i64>(9)? == Stage::Ready.number(),
                concurrency_key: row.get(10)?,
                version: row.get(11)?,
            })
        })
    }

    /// How many attempts there were: the one under way counts, the one that is to come does not.
    pub const fn attempts(&self) -> i32 {
        if self.claimed { self.attempt } else { self.attempt.saturating_sub(1) }
    }

    /// Takes it from its worker and offers it to everybody, as it stands in `self`, when it is due. Whoever had it cannot
    /// write any more.
    pub fn offer_again(&self, tx: &mut Tx<'_>) -> Result<()> {
        db::run(
            tx.conn,
            OFFER_AGAIN,
            named_params! {
                ":owner": self.key.owner.0, ":task": self.key.task.to_string(), ":run_at": self.due_at,
                ":attempt": self.attempt, ":handed_back": self.handed_back, ":losses": self.losses,
                ":stage": Stage::of(self.due_at, tx.now).number(),
            },
        )?;
        self.frees_its_key(tx)
    }

    /// Takes it off the queue.
    pub fn remove(&self, tx: &mut Tx<'_>) -> Result<()> {
        db::run(tx.conn, REMOVE, (self.key.owner.0, self.key.task.to_string()))?;
        self.frees_its_key(tx)
    }

    fn frees_its_key(&self, tx: &mut Tx<'_>) -> Result<()> {
        if let Some(key) = &self.concurrency_key
            && (self.claimed || self.ready)
        {
            concurrency::release_one(tx, self.agent.as_str(), self.key.owner.0, key)?;
        }
        Ok(())
    }

    /// Notes until when it must have stopped.
    pub fn cancel_at(&self, conn: &Connection, at: i64) -> Result<()> {
        db::run(conn, SET_CANCEL, (self.key.owner.0, self.key.task.to_string(), at))?;
        Ok(())
    }
}

/// Forgets the workers that were lost with a run, because this one brings it forward.
pub fn made_progress(conn: &Connection, key: TaskKey) -> Result<()> {
    db::run(conn, MADE_PROGRESS, (key.owner.0, key.task.to_string()))?;
    Ok(())
}

/// A run that is to be offered for the first time in its turn.
pub struct NewRun<'a> {
    pub key: TaskKey,
    pub agent: &'a AgentName,
    pub priority: i16,
    pub run_at: i64,
    pub epoch: i32,
    pub trace: Option<&'a str>,
    /// How long it may be runnable without being claimed, in milliseconds.
    pub queue_timeout: Option<i64>,
    pub concurrency_key: Option<&'a str>,
    pub version: Option<&'a str>,
}

impl NewRun<'_> {
    pub fn offer(&self, tx: &Tx<'_>) -> Result<()> {
        let queue_until = self.queue_timeout.map(|timeout| self.run_at.saturating_add(timeout));
        let (owner, task, agent) =
            (self.key.owner.0, self.key.task.to_string(), self.agent.as_str());
        let (run_at, epoch, trace) = (self.run_at, self.epoch, self.trace);
        let stage = Stage::of(run_at, tx.now).number();
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
