//! Dead letters: every task that failed, until somebody deals with it.

use super::accept;
use crate::{
    db::{self, statements},
    error::Result,
    head::Head,
    row,
    writer::Tx,
};
use longhaul_domain::{FailureKind, TaskFailure, TaskId, TaskKey, log::StatusChange};
use longhaul_store::{Accepted, DeadLetterResolution, RedriveOutcome, StoreError};
use rusqlite::Row;

statements! {
    ADD = "-- store::dead_letters
        INSERT INTO dead_letters (owner_id, task, agent, context_id, at, because, cause, attempts)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    FIND = "-- store::redrive
        SELECT handled_at, redriven_as FROM dead_letters WHERE owner_id = ?1 AND task = ?2";
    HANDLE = "-- store::redrive
        UPDATE dead_letters SET handled_at = ?3, redriven_as = ?4
        WHERE owner_id = ?1 AND task = ?2 AND handled_at IS NULL";
}

/// Lists a task as dead that has just failed. Whoever did not say why meant that no attempt can succeed.
pub fn add(tx: &Tx<'_>, head: &Head, change: &StatusChange, attempt: i32) -> Result<()> {
    let said = || change.message.as_ref().map(longhaul_domain::Message::text).unwrap_or_default();
    let failed = change.failed.clone();
    let failed = failed.unwrap_or_else(|| TaskFailure::new(FailureKind::Fatal, &said(), attempt));
    let task = head.key.task.to_string();
    let (agent, context) = (head.agent.as_str(), head.context.as_str());
    let (because, cause, attempts) = (failed.because.number(), &failed.cause, failed.attempts);
    let (owner, at) = (head.key.owner.0, head.status_at);
    db::run(tx.conn, ADD, (owner, task, agent, context, at, because, cause, attempts))?;
    Ok(())
}

/// What became of a dead letter, from its columns.
pub fn handled(row: &Row<'_>) -> Result<Option<DeadLetterResolution>> {
    let redriven: Option<String> = row.get("redriven_as")?;
    let task = redriven.map(|task| task.parse::<TaskId>()).transpose();
    let task = task.map_err(|e| row::corrupt("redriven_as", e))?;
    let handled = row.get::<_, Option<i64>>("handled_at")?.is_some();
    Ok(handled
        .then(|| task.map_or(DeadLetterResolution::Dismissed, DeadLetterResolution::Redriven)))
}

/// Makes a task that does the work of a dead one again.
pub fn redrive(tx: &mut Tx<'_>, dead: TaskKey, new: &accept::NewTask) -> Result<RedriveOutcome> {
    match db::one(tx.conn, FIND, (dead.owner.0, dead.task.to_string()), handled)? {
        Some(Some(DeadLetterResolution::Redriven(task))) => {
            return Ok(RedriveOutcome::Already { task });
        }
        Some(Some(DeadLetterResolution::Dismissed)) | None => return Ok(RedriveOutcome::NotDead),
        Some(None) => {}
    }
    if new.key.owner != dead.owner {
        return refused("a dead task can be begun again for its owner only");
    }
    let asked = new.key.task;
    let task = match accept::accept_new(tx, new)? {
        Accepted::Created { .. } => asked,
        Accepted::Duplicate { task, .. } => task,
        Accepted::KeyReused => return refused("the key of the new task was used for another one"),
    };
    let done = (dead.owner.0, dead.task.to_string(), tx.now, Some(task.to_string()));
    db::run(tx.conn, HANDLE, done)?;
    Ok(RedriveOutcome::Now { task })
}

/// Takes a dead letter off the list.
pub fn dismiss(tx: &mut Tx<'_>, key: TaskKey) -> Result<bool> {
    let done = (key.owner.0, key.task.to_string(), tx.now, None::<String>);
    Ok(db::run(tx.conn, HANDLE, done)? > 0)
}

fn refused<T>(why: &str) -> Result<T> {
    Err(StoreError::Refused(why.to_owned()).into())
}
