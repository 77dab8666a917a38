//! The mutable part of a task, and the only code that appends to its log.
//!
//! A [`TaskHead`] is read and written within one transaction. Only this file numbers entries, so
//! the log has no gaps, and only this file applies a status through the state machine.

use crate::{
    db::{self, statements},
    error::DbResult,
    row,
    writer::Tx,
};
use longhaul_domain::{
    AgentName, Blob, ContextId, EntryBody, FailureKind, OwnerId, Seq, TaskFailure, TaskKey,
    TaskState, log::StatusChange,
};
use rusqlite::Connection;
use uuid::Uuid;

statements! {
    LOAD = "-- store::head
        SELECT t.agent, t.context_id, t.priority, t.queue_timeout_ms, t.concurrency_key, s.state, s.status_at,
               s.status_seq, s.last_seq, s.message_seq, s.turn, s.epoch, s.op_epoch, s.last_op, s.settle_token,
               s.deadline_at, s.version
        FROM task_state s JOIN tasks t ON t.owner_id = s.owner_id AND t.task = s.task
        WHERE s.owner_id = ?1 AND s.task = ?2";
    SAVE = "-- store::head
        UPDATE task_state
        SET last_seq = ?3, message_seq = ?4, turn = ?5, epoch = ?6, op_epoch = ?7, last_op = ?8, settle_token = ?9,
            version = ?10
        WHERE owner_id = ?1 AND task = ?2";
    SAVE_WITH_STATUS = "-- store::head
        UPDATE task_state
        SET last_seq = ?3, message_seq = ?4, turn = ?5, epoch = ?6, op_epoch = ?7, last_op = ?8, settle_token = ?9,
            version = ?10, state = ?11, status_at = ?12, status_seq = ?13
        WHERE owner_id = ?1 AND task = ?2";
    CLEAR_DEADLINE = "-- store::head
        UPDATE task_state SET deadline_at = NULL WHERE owner_id = ?1 AND task = ?2";
    ADD_ENTRY = "-- store::append
        INSERT INTO log (owner_id, task, seq, at, attempt, kind, state, says, artifact_id, head, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    HAS_ARTIFACT = "-- store::append
        SELECT 1 FROM log WHERE owner_id = ?1 AND task = ?2 AND artifact_id = ?3 AND head = 1 LIMIT 1";
    ADD_BLOB = "-- store::append
        INSERT INTO blobs (owner_id, hash, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    ADD_DEAD_LETTER = "-- store::dead_letters
        INSERT INTO dead_letters (owner_id, task, agent, context_id, at, because, cause, attempts)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
}

/// The mutable part of a task.
#[derive(Debug)]
pub struct TaskHead {
    pub key: TaskKey,
    pub agent: AgentName,
    pub context: ContextId,
    pub priority: i16,
    /// Maximum time that it may be runnable without being claimed, in milliseconds.
    pub queue_timeout: Option<i64>,
    pub concurrency_key: Option<String>,
    pub state: TaskState,
    pub status_at: i64,
    pub status_seq: Seq,
    pub last_seq: Seq,
    pub message_seq: Seq,
    pub turn: i32,
    /// Epoch of the last run; a wake continues from it.
    pub epoch: i32,
    pub op_epoch: i32,
    pub last_op: i32,
    /// Token of the last settled claim.
    pub settle_token: Option<Uuid>,
    /// Deadline for its end.
    pub deadline: Option<i64>,
    /// Version of the executor that the task is pinned to while it is parked.
    pub version: Option<String>,
}

impl TaskHead {
    /// Reads the head of a task, if the task exists.
    pub fn load(conn: &Connection, key: TaskKey) -> DbResult<Option<Self>> {
        let params = (key.owner.0, key.task.to_string());
        db::one(conn, LOAD, params, |row| {
            Ok(Self {
                key,
                agent: row::parsed(row, 0)?,
                context: row::context(row, 1)?,
                priority: row.get(2)?,
                queue_timeout: row.get(3)?,
                concurrency_key: row.get(4)?,
                state: row::state(row, 5)?,
                status_at: row.get(6)?,
                status_seq: row::seq(row, 7)?,
                last_seq: row::seq(row, 8)?,
                message_seq: row::seq(row, 9)?,
                turn: row.get(10)?,
                epoch: row.get(11)?,
                op_epoch: row.get(12)?,
                last_op: row.get(13)?,
                settle_token: row::token(row, 14)?,
                deadline: row.get(15)?,
                version: row.get(16)?,
            })
        })
    }

    /// Appends an entry. Refuses a status that the state machine does not allow. A status that
    /// fails the task also adds a dead letter.
    pub fn append(&mut self, tx: &mut Tx<'_>, attempt: i32, body: &EntryBody) -> DbResult<()> {
        // The machine's clock may have been set back since the previous process.
        let at = tx.now.max(self.status_at);
        let seq = self.last_seq.next();
        if let Some(change) = body.status() {
            self.state = self.state.after(change.state.transition_to())?;
            (self.status_at, self.status_seq) = (at, seq);
            if self.state == TaskState::Failed {
                add_dead_letter(tx, self, change, attempt)?;
            }
        }
        if matches!(body, EntryBody::Message(_)) {
            self.message_seq = seq;
        }
        add_entry(tx.conn, self.key, &NewEntry { seq, at, attempt, body })?;
        self.last_seq = seq;
        Ok(())
    }

    /// Writes the head back. Call it once, after the last entry.
    pub fn save(&self, tx: &mut Tx<'_>, baseline: HeadBaseline) -> DbResult<()> {
        let (owner, task) = (self.key.owner.0, self.key.task.to_string());
        let (last, message, turn) = (self.last_seq.0, self.message_seq.0, self.turn);
        let (epoch, op_epoch, op) = (self.epoch, self.op_epoch, self.last_op);
        let token = self.settle_token.map(|token| token.to_string());
        let version = self.version.as_deref();
        // An unchanged status is not written, because it is part of the index of lists.
        if self.status_seq == baseline.status_seq {
            let row = (owner, &task, last, message, turn, epoch, op_epoch, op, token, version);
            db::run(tx.conn, SAVE, row)?;
        } else {
            let (state, at, seq) = (self.state.number(), self.status_at, self.status_seq.0);
            let row = (
                owner, &task, last, message, turn, epoch, op_epoch, op, token, version, state, at,
                seq,
            );
            db::run(tx.conn, SAVE_WITH_STATUS, row)?;
        }
        // Ended tasks must not be found by the search for passed deadlines.
        if self.state.is_terminal() && self.deadline.is_some() {
            db::run(tx.conn, CLEAR_DEADLINE, (owner, &task))?;
        }
        if self.last_seq != baseline.last_seq {
            tx.effects.grown.insert(self.key, self.last_seq);
        }
        Ok(())
    }

    /// Returns the baseline for a later [`save`](Self::save).
    pub const fn baseline(&self) -> HeadBaseline {
        HeadBaseline { last_seq: self.last_seq, status_seq: self.status_seq }
    }
}

/// Position of a head when it was loaded; `save` writes what differs from it.
#[derive(Debug, Clone, Copy)]
pub struct HeadBaseline {
    last_seq: Seq,
    status_seq: Seq,
}

/// An entry to be written.
pub struct NewEntry<'a> {
    pub seq: Seq,
    pub at: i64,
    pub attempt: i32,
    pub body: &'a EntryBody,
}

/// Inserts one row of the log; bodies are written nowhere else.
pub fn add_entry(conn: &Connection, key: TaskKey, entry: &NewEntry<'_>) -> DbResult<()> {
    let (owner, task) = (key.owner.0, key.task.to_string());
    let NewEntry { seq, at, attempt, body } = *entry;
    let artifact = match body {
        EntryBody::Artifact(update) => Some(update.artifact.artifact_id.as_str()),
        _ => None,
    };
    let head = match (body.starts_artifact(), artifact) {
        (Some(_), _) => true,
        // A chunk that appends to a missing artifact starts the artifact.
        (None, Some(id)) => db::one(conn, HAS_ARTIFACT, (owner, &task, id), |_| Ok(()))?.is_none(),
        (None, None) => false,
    };
    let (kind, says) = (body.kind().number(), body.message().is_some());
    let state = body.status().map(|change| change.state.number());
    let text = body.encode();
    let row = (owner, &task, seq.0, at, attempt, kind, state, says, artifact, head, &text);
    db::run(conn, ADD_ENTRY, row)?;
    Ok(())
}

/// Stores large contents; existing ones stay.
pub fn add_blobs(conn: &Connection, owner: OwnerId, blobs: &[Blob]) -> DbResult<()> {
    for blob in blobs {
        db::run(conn, ADD_BLOB, (owner.0, &blob.hash.0[..], &blob.bytes[..]))?;
    }
    Ok(())
}

/// Adds a dead letter for a task that has just failed. A failure without a kind counts as fatal: no
/// further attempt can succeed.
fn add_dead_letter(
    tx: &Tx<'_>,
    head: &TaskHead,
    change: &StatusChange,
    attempt: i32,
) -> DbResult<()> {
    let said = || change.message.as_ref().map(longhaul_domain::Message::text).unwrap_or_default();
    let failed = change.failed.clone();
    let failed = failed.unwrap_or_else(|| TaskFailure::new(FailureKind::Fatal, &said(), attempt));
    let task = head.key.task.to_string();
    let (agent, context) = (head.agent.as_str(), head.context.as_str());
    let (because, cause, attempts) = (failed.because.number(), &failed.cause, failed.attempts);
    let (owner, at) = (head.key.owner.0, head.status_at);
    db::run(tx.conn, ADD_DEAD_LETTER, (owner, task, agent, context, at, because, cause, attempts))?;
    Ok(())
}
