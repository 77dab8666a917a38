//! Output of a run: entries, blobs and checkpoints.
//!
//! Only the holder of the fence may write, and each operation is written once. An append and its
//! checkpoints are one transaction.

use crate::{
    db::{self, statements},
    error::DbResult,
    head::{TaskHead, add_blobs},
    queue::{self, Run},
    row,
    writer::Tx,
};
use longhaul_domain::{Checkpoint, CheckpointName, EntryBody, Json, Seq, TaskKey, TaskState};
use longhaul_store::{Append, Appended, check_output};
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

/// Result of checking a fence.
pub enum FenceCheck {
    /// The worker holds the run, and the operation is new.
    Held(Box<(TaskHead, Run)>),
    /// The operation was done before; the last entry now.
    Done(Seq),
    /// Another worker holds the run, or none does.
    Fenced,
    /// The task has ended.
    Ended(TaskState),
}

/// Checks the fence of a write. After the run has been given up, only a repeated settle is
/// recognised.
pub fn check_fence(tx: &Tx<'_>, output: &Append, settles: bool) -> DbResult<FenceCheck> {
    let Some(head) = TaskHead::load(tx.conn, output.key)? else { return Ok(FenceCheck::Fenced) };
    let (epoch, token) = (output.fence.epoch.0, output.fence.token);
    let same_run = head.op_epoch == epoch;
    let run = Run::load(tx.conn, output.key)?;
    if let Some(run) = run
        && run.claimed
        && run.epoch == epoch
        && run.token == Some(token)
    {
        let done = same_run && output.op <= head.last_op;
        return Ok(if done {
            FenceCheck::Done(head.last_seq)
        } else {
            FenceCheck::Held(Box::new((head, run)))
        });
    }
    // The settle was the last operation of its run, whatever later runs have written.
    let settled = head.settle_token == Some(token);
    if settles && settled && (!same_run || output.op <= head.last_op) {
        return Ok(FenceCheck::Done(head.last_seq));
    }
    // An end is reported as such, because it explains why the worker lost its run.
    Ok(if head.state.is_terminal() { FenceCheck::Ended(head.state) } else { FenceCheck::Fenced })
}

pub fn append(tx: &mut Tx<'_>, append: &Append) -> DbResult<Appended> {
    let mut head = match check_fence(tx, append, false)? {
        FenceCheck::Held(held) => held.0,
        FenceCheck::Done(last) => return Ok(Appended::Already { last }),
        FenceCheck::Fenced => return Ok(Appended::Fenced),
        FenceCheck::Ended(state) => return Ok(Appended::Ended(state)),
    };
    check_output(head.state, &append.entries, None)?;
    let before = head.baseline();
    write(tx, &mut head, append, &append.entries)?;
    if !append.checkpoints.is_empty() {
        queue::made_progress(tx.conn, append.key)?;
    }
    head.save(tx, before)?;
    Ok(Appended::Now { last: head.last_seq })
}

/// Writes entries of a run with its blobs and checkpoints, and records the operation number. The
/// caller saves the head.
pub fn write(
    tx: &mut Tx<'_>,
    head: &mut TaskHead,
    append: &Append,
    entries: &[EntryBody],
) -> DbResult<()> {
    for entry in entries {
        head.append(tx, append.attempt, entry)?;
    }
    add_blobs(tx.conn, head.key.owner, &append.blobs)?;
    store_checkpoints(tx, head.key, append.attempt, &append.checkpoints)?;
    (head.op_epoch, head.last_op) = (append.fence.epoch.0, append.op);
    Ok(())
}

/// Stores checkpoints; a later one replaces an earlier one of the same name.
fn store_checkpoints(
    tx: &Tx<'_>,
    key: TaskKey,
    attempt: i32,
    checkpoints: &[Checkpoint],
) -> DbResult<()> {
    let task = key.task.to_string();
    for Checkpoint { name, value } in checkpoints {
        let row = (key.owner.0, &task, name.as_str(), attempt, tx.now, value.as_str());
        db::run(tx.conn, KEEP, row)?;
    }
    Ok(())
}

pub fn read_checkpoint(
    conn: &Connection,
    key: TaskKey,
    name: &CheckpointName,
) -> DbResult<Option<Json>> {
    db::one(conn, READ, (key.owner.0, key.task.to_string(), name.as_str()), |row| {
        Json::parse(&row.get::<_, String>(0)?).map_err(|e| row::corrupt("checkpoints.value", e))
    })
}

/// Returns whether a task has checkpoints.
pub fn has_checkpoints(conn: &Connection, key: TaskKey) -> DbResult<bool> {
    Ok(db::one(conn, ANY, (key.owner.0, key.task.to_string()), |_| Ok(()))?.is_some())
}
