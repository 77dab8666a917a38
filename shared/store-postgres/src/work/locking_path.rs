//! Batches of appends and settles: the fast path first, then the locking path.
//!
//! The [`fast_path`] writes what needs no decision with one statement. The remaining writes take
//! one transaction: lock, decide each in order of arrival, write. Several writes to one task see
//! each other's changes.

use crate::{
    db::Db,
    error::DbResult,
    retry,
    work::{
        fast_path,
        run_write::{EncodedAppend, RunWrite, WriteOutcome},
        settle::settle,
    },
    write::{Changes, LockedTask, lock::lock_tasks},
};
use longhaul_store::{Append, Appended, Result, StoreError, check_output};
use sqlx_core::connection::Connection;
use std::{collections::BTreeSet, sync::Arc};

/// Writes one batch.
pub async fn run_batch(db: Arc<Db>, writes: Vec<RunWrite>) -> Vec<Result<WriteOutcome>> {
    let done = fast_path::write(&db, &writes).await;
    let remaining: Vec<RunWrite> =
        writes.into_iter().zip(&done).filter(|(_, d)| d.is_none()).map(|(w, _)| w).collect();
    let locked = if remaining.is_empty() {
        Vec::new()
    } else {
        retry::run_batch(&*db, remaining, |db, writes| Box::pin(write(db, writes))).await
    };
    let mut locked = locked.into_iter();
    let no_answer = || Err(StoreError::Unavailable("a write got no answer; try again".to_owned()));
    done.into_iter()
        .map(|d| d.map_or_else(|| locked.next().unwrap_or_else(no_answer), Ok))
        .collect()
}

async fn write(db: &Db, writes: &[RunWrite]) -> DbResult<Vec<Result<WriteOutcome>>> {
    let mut connection = db.connection().await?;
    let mut transaction = connection.begin().await?;
    let mut tasks = lock_tasks(&mut transaction, writes.iter().map(RunWrite::key)).await?;
    let mut changes = Changes::default();
    let mut touched = BTreeSet::new();
    let mut already = Vec::new();
    let outcomes = writes
        .iter()
        .map(|write| {
            // A task that does not exist has no run, so no fence can be valid.
            let Some(task) = tasks.get_mut(&write.key()) else { return Ok(write.fenced_outcome()) };
            let wrote = decide(task, write)?;
            if wrote.is_change() {
                let Append { blobs, checkpoints, .. } = &write.output().append;
                changes.add_blobs(task.key.owner, blobs);
                changes.add_checkpoints(task.key, task.now, checkpoints);
                touched.insert(task.key);
            }
            // The commit of a repeated write may never have been published.
            already.extend(wrote.already_done_at().map(|last| (write.key(), last)));
            Ok(wrote)
        })
        .collect();
    for key in touched {
        tasks.remove(&key).into_iter().for_each(|task| changes.add_task(task));
    }
    already.extend(changes.commit(transaction, &db.signals).await?);
    connection.release();
    db.signals.publish_growth(already);
    Ok(outcomes)
}

fn decide(task: &mut LockedTask, write: &RunWrite) -> Result<WriteOutcome> {
    match write {
        RunWrite::Append(output) => append(task, output).map(WriteOutcome::Append),
        RunWrite::Settle(settle_request) => settle(task, settle_request).map(WriteOutcome::Settle),
    }
}

/// Decides an append, and applies it in memory if it is valid.
fn append(task: &mut LockedTask, output: &EncodedAppend) -> Result<Appended> {
    let Append { fence, op, attempt, .. } = output.append;
    if task.state.is_terminal() {
        return Ok(Appended::Ended(task.state));
    }
    if !task.is_held_by(fence) {
        return Ok(Appended::Fenced);
    }
    // The caller repeats an operation whose answer was lost.
    if task.is_op_done(fence.epoch, op) {
        return Ok(Appended::Already { last: task.last_seq });
    }
    check_output(task.state, &output.append.entries, None)?;
    for entry in &output.entries {
        task.append_entry(entry.clone(), attempt);
    }
    if !output.append.checkpoints.is_empty()
        && let Some(run) = &mut task.run
    {
        // A checkpoint is progress: workers lost before it no longer count.
        run.losses = 0;
    }
    task.record_op(fence.epoch, op);
    Ok(Appended::Now { last: task.last_seq })
}
