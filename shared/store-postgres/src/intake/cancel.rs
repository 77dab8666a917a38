//! Wishes to cancel: at once where nobody runs the task, otherwise with a deadline after which it is ended by force.

use crate::{
    db::Db,
    entry::Encoded,
    failure::{DbResult, Failure},
    work::settle,
    write::{Changes, LockedTask, lock::lock_tasks},
};
use longhaul_domain::{EntryBody, Note, TaskState};
use longhaul_store::{CancelRequested, RequestCancel};

/// Cancels, or asks for it. `again`: an earlier try may have been committed without our knowing.
pub async fn request(db: &Db, wish: &RequestCancel, again: bool) -> DbResult<CancelRequested> {
    let mut transaction = db.begin().await?;
    let tasks = lock_tasks(&mut transaction, [wish.key]).await?;
    let Some(mut task) = tasks.into_values().next() else { return Ok(CancelRequested::NotFound) };
    if task.state == TaskState::Canceled && again {
        return Ok(CancelRequested::Canceled { seq: task.status_seq });
    }
    if task.state.is_terminal() {
        return Ok(CancelRequested::Ended(task.state));
    }
    if task.run.is_none() && !task.state.is_parked() {
        // It was woken while this transaction waited for it: the next one sees its place in the queue.
        return Err(Failure::Conflict("the task has just been woken".to_owned()));
    }
    let outcome = decide(&mut task, wish);
    let asked = matches!(outcome, CancelRequested::Asked { .. });
    let mut changes = Changes::default();
    changes.task(task);
    db.signals.grown(changes.commit(transaction, &db.signals).await?);
    if asked {
        db.signals.cancel([wish.key]);
    }
    Ok(outcome)
}

fn decide(task: &mut LockedTask, wish: &RequestCancel) -> CancelRequested {
    let deadline = task.after(wish.grace);
    let running = task.run.as_mut().filter(|run| run.holder.is_some());
    let Some(run) = running else {
        return CancelRequested::Canceled { seq: settle::cancel(task, 0) };
    };
    let asked_before = run.cancel_at.is_some();
    run.cancel_at = Some(run.cancel_at.map_or(deadline, |earlier| earlier.min(deadline)));
    if !asked_before {
        task.place(Encoded::from(&EntryBody::Note(Note::CancelRequested)), 0);
    }
    CancelRequested::Asked { seq: task.last_seq }
}
