//! Runs: one row for each task that is queued or running.

use crate::{
    db::{self, statements},
    error::Result,
    row,
};
use longhaul_domain::{AgentName, TaskKey};
use rusqlite::{Connection, named_params};
use uuid::Uuid;

statements! {
    LOAD = "-- store::run
        SELECT agent, priority, run_at, attempt, epoch, token, worker, cancel_at, handed_back, losses, trace
        FROM runs WHERE owner_id = ?1 AND task = ?2";
    OFFER = "-- store::offer
        INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses, trace)
        VALUES (:owner, :task, :agent, :priority, :run_at, 1, :epoch, 0, 0, :trace)";
    OFFER_AGAIN = "-- store::offer_again
        UPDATE runs
        SET run_at = :run_at, attempt = :attempt, epoch = epoch + 1, token = NULL, worker = NULL,
            handed_back = :handed_back, losses = :losses
        WHERE owner_id = :owner AND task = :task";
    SET_CANCEL = "-- store::request_cancel
        UPDATE runs SET cancel_at = ?3 WHERE owner_id = ?1 AND task = ?2";
    REMOVE = "-- store::settle
        DELETE FROM runs WHERE owner_id = ?1 AND task = ?2";
}

/// A queued or running task.
#[derive(Debug, Clone)]
pub struct Run {
    pub key: TaskKey,
    pub due_at: i64,
    pub attempt: i32,
    pub epoch: i32,
    pub token: Option<Uuid>,
    pub claimed: bool,
    pub cancel_at: Option<i64>,
    pub handed_back: bool,
    pub losses: i32,
}

impl Run {
    pub fn load(conn: &Connection, key: TaskKey) -> Result<Option<Self>> {
        db::one(conn, LOAD, (key.owner.0, key.task.to_string()), |row| {
            Ok(Self {
                key,
                due_at: row.get("run_at")?,
                attempt: row.get("attempt")?,
                epoch: row.get("epoch")?,
                token: row::token(row, "token")?,
                claimed: row.get::<_, Option<String>>("worker")?.is_some(),
                cancel_at: row.get("cancel_at")?,
                handed_back: row.get("handed_back")?,
                losses: row.get("losses")?,
            })
        })
    }

    /// Takes it from its worker and offers it to everybody, as it stands in `self`. Whoever had it cannot write any more.
    pub fn offer_again(&self, conn: &Connection) -> Result<()> {
        db::run(
            conn,
            OFFER_AGAIN,
            named_params! {
                ":owner": self.key.owner.0, ":task": self.key.task.to_string(), ":run_at": self.due_at,
                ":attempt": self.attempt, ":handed_back": self.handed_back, ":losses": self.losses,
            },
        )?;
        Ok(())
    }

    /// Notes until when it must have stopped.
    pub fn cancel_at(&self, conn: &Connection, at: i64) -> Result<()> {
        db::run(conn, SET_CANCEL, (self.key.owner.0, self.key.task.to_string(), at))?;
        Ok(())
    }
}

/// A run that is to be offered for the first time in its turn.
pub struct NewRun<'a> {
    pub key: TaskKey,
    pub agent: &'a AgentName,
    pub priority: i16,
    pub run_at: i64,
    pub epoch: i32,
    pub trace: Option<&'a str>,
}

impl NewRun<'_> {
    pub fn offer(&self, conn: &Connection) -> Result<()> {
        db::run(
            conn,
            OFFER,
            named_params! {
                ":owner": self.key.owner.0, ":task": self.key.task.to_string(), ":agent": self.agent.as_str(),
                ":priority": self.priority, ":run_at": self.run_at, ":epoch": self.epoch, ":trace": self.trace,
            },
        )?;
        Ok(())
    }
}

/// Takes a task off the queue, when it is there.
pub fn remove(conn: &Connection, key: TaskKey) -> Result<()> {
    db::run(conn, REMOVE, (key.owner.0, key.task.to_string()))?;
    Ok(())
}
