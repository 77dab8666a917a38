//! Writes of API nodes: new tasks, messages to existing tasks, and cancel requests.
//!
//! A cancel takes effect at once if no worker runs the task. Otherwise the worker is asked to stop,
//! and a deadline is stored after which a reaper cancels the task by force.

pub mod accept_new;
pub mod dedupe;
pub mod follow_up;

use crate::{
    PostgresStore,
    db::Db,
    entry::EncodedEntry,
    error::{DbError, DbResult},
    work::settle::cancel_task,
    write::{Changes, LockedTask, lock::lock_tasks},
};
use accept_new::NewTask;
use async_trait::async_trait;
use dedupe::known_messages;
use follow_up::NewMessage;
use longhaul_domain::{EntryBody, Note, OwnerId, TaskState};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, CancelRequested, DedupeKey, FollowedUp, IntakeStore,
    MessageLookup, RequestCancel, Result,
};
use std::sync::atomic::{AtomicBool, Ordering};

#[async_trait]
impl IntakeStore for PostgresStore {
    async fn accept_new(&self, accept: AcceptNew) -> Result<Accepted> {
        let task = NewTask::from(accept);
        let weight = task.weight();
        self.new_tasks.call(task, weight).await
    }

    async fn accept_follow_up(&self, accept: AcceptFollowUp) -> Result<FollowedUp> {
        let message = NewMessage::from(accept);
        let weight = message.weight();
        self.messages.call(message, weight).await
    }

    async fn find_message(&self, owner: OwnerId, dedupe: DedupeKey) -> Result<MessageLookup> {
        let find = || async {
            let mut reader = self.db.reader().await?;
            Ok(known_messages(&mut reader, &[(owner, dedupe)]).await?.remove(&(owner, dedupe.key)))
        };
        Ok(match self.db.retry(find).await? {
            None => MessageLookup::Unknown,
            Some(known) if known.content != dedupe.content => MessageLookup::KeyReused,
            Some(known) => MessageLookup::Duplicate { task: known.task, seq: known.seq },
        })
    }

    async fn request_cancel(&self, cancel: RequestCancel) -> Result<CancelRequested> {
        // Set once an attempt lost its answer: a canceled task may then be our own work.
        let in_doubt = AtomicBool::new(false);
        self.db
            .retry(|| async {
                let again = in_doubt.load(Ordering::Relaxed);
                let outcome = request_cancel(&self.db, &cancel, again).await;
                in_doubt.fetch_or(
                    matches!(outcome, Err(DbError::ConnectionLost(_))),
                    Ordering::Relaxed,
                );
                outcome
            })
            .await
    }
}

/// Cancels a task or asks its worker to. `again`: an earlier attempt may have been committed
/// unnoticed.
async fn request_cancel(db: &Db, cancel: &RequestCancel, again: bool) -> DbResult<CancelRequested> {
    let mut transaction = db.begin().await?;
    let tasks = lock_tasks(&mut transaction, [cancel.key]).await?;
    let Some(mut task) = tasks.into_values().next() else { return Ok(CancelRequested::NotFound) };
    if task.state == TaskState::Canceled && again {
        return Ok(CancelRequested::Canceled { seq: task.status_seq });
    }
    if task.state.is_terminal() {
        return Ok(CancelRequested::Ended(task.state));
    }
    if task.run.is_none() && !task.state.is_parked() {
        // The task was woken while this transaction waited for its lock; a retry sees the new run.
        return Err(DbError::Conflict("the task has just been woken".to_owned()));
    }
    let outcome = decide_cancel(&mut task, cancel);
    let asked = matches!(outcome, CancelRequested::Asked { .. });
    let mut changes = Changes::default();
    changes.add_task(task);
    db.signals.publish_growth(changes.commit(transaction, &db.signals).await?);
    if asked {
        db.signals.publish_cancel([cancel.key]);
    }
    Ok(outcome)
}

fn decide_cancel(task: &mut LockedTask, cancel: &RequestCancel) -> CancelRequested {
    let deadline = task.time_after(cancel.grace);
    let running = task.run.as_mut().filter(|run| run.holder.is_some());
    let Some(run) = running else {
        return CancelRequested::Canceled { seq: cancel_task(task, 0) };
    };
    let asked_before = run.cancel_at.is_some();
    // A repeated request never extends the deadline.
    run.cancel_at = Some(run.cancel_at.map_or(deadline, |earlier| earlier.min(deadline)));
    // One note per task, however often the client asks.
    if !asked_before {
        task.append_entry(EncodedEntry::from(&EntryBody::Note(Note::CancelRequested)), 0);
    }
    CancelRequested::Asked { seq: task.last_seq }
}
