//! Accepts messages to existing tasks.
//!
//! The task is locked before its dedupe keys are looked up, so two nodes with the same message are
//! serialised. A message that wakes a parked task commits with the new state and the new run.

use crate::{
    db::Db,
    entry::EncodedEntry,
    error::{DbError, DbResult},
    intake::dedupe::known_messages,
    retry,
    write::{Changes, LockedTask, RunRow, RunStage, lock::lock_tasks},
};
use longhaul_domain::{EntryBody, Seq, TaskKey, TaskState, log::StatusChange};
use longhaul_store::{AcceptFollowUp, DedupeKey, FollowedUp, Result};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A message waiting for its batch.
#[derive(Debug)]
pub struct NewMessage {
    /// The request.
    pub follow_up: AcceptFollowUp,
    /// The encoded log entry.
    pub entry: EncodedEntry,
    /// Set while an earlier attempt may have been committed unnoticed.
    in_doubt: AtomicBool,
}

impl From<AcceptFollowUp> for NewMessage {
    fn from(follow_up: AcceptFollowUp) -> Self {
        let entry = EncodedEntry::from(&EntryBody::Message(follow_up.accept.message.clone()));
        Self { follow_up, entry, in_doubt: AtomicBool::new(false) }
    }
}

impl NewMessage {
    /// Size in a batch, in bytes.
    pub fn weight(&self) -> usize {
        let blobs: usize = self.follow_up.accept.blobs.iter().map(|blob| blob.bytes.len()).sum();
        self.entry.weight() + blobs
    }

    const fn key(&self) -> TaskKey {
        self.follow_up.key
    }

    const fn dedupe(&self) -> DedupeKey {
        self.follow_up.accept.dedupe
    }
}

/// Accepts one batch.
pub async fn accept_batch(db: Arc<Db>, messages: Vec<NewMessage>) -> Vec<Result<FollowedUp>> {
    retry::run_batch(&*db, messages, |db, all| Box::pin(accept(db, all))).await
}

async fn accept(db: &Db, messages: &[NewMessage]) -> DbResult<Vec<Result<FollowedUp>>> {
    let mut transaction = db.begin().await?;
    let mut tasks = lock_tasks(&mut transaction, messages.iter().map(NewMessage::key)).await?;
    let keys: Vec<_> = messages.iter().map(|m| (m.key().owner, m.dedupe())).collect();
    let mut seen: HashMap<_, _> = known_messages(&mut transaction, &keys)
        .await?
        .into_iter()
        .map(|(dedupe_key, known)| (dedupe_key, (known.content, known.task, known.seq)))
        .collect();

    let mut changes = Changes::default();
    let (mut touched, mut notified, mut found) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        let (key, dedupe) = (message.key(), message.dedupe());
        let dedupe_key = (key.owner, dedupe.key);
        if let Some(&(content, task, seq)) = seen.get(&dedupe_key) {
            let ours = message.in_doubt.load(Ordering::Relaxed) && task == key.task;
            let existing = tasks.get(&key).filter(|_| ours);
            outcomes.push(Ok(match existing {
                _ if content != dedupe.content => FollowedUp::KeyReused,
                Some(existing) => {
                    found.push((key, existing.last_seq));
                    if is_held(existing) {
                        notified.insert(key);
                    }
                    appended_before(existing, seq)
                }
                None => FollowedUp::Duplicate { task, seq },
            }));
            continue;
        }
        // Lock and lookup name owner and id, so another owner's task looks missing.
        let Some(task) = tasks.get_mut(&key) else {
            outcomes.push(Ok(FollowedUp::NotFound));
            continue;
        };
        let outcome = append(task, message);
        if let FollowedUp::Appended { seq, .. } = outcome {
            changes.add_blobs(key.owner, &message.follow_up.accept.blobs);
            changes.add_dedupe_key(key, dedupe, seq, task.now);
            seen.insert(dedupe_key, (dedupe.content, key.task, seq));
            touched.insert(key);
            if is_held(task) {
                notified.insert(key);
            }
        }
        outcomes.push(Ok(outcome));
    }
    for key in touched {
        tasks.remove(&key).into_iter().for_each(|task| changes.add_task(task));
    }
    let doubt = |doubt| messages.iter().for_each(|m| m.in_doubt.store(doubt, Ordering::Relaxed));
    // Set before the commit, because this future may be dropped while it runs.
    doubt(true);
    let committed = changes.commit(transaction, &db.signals).await;
    // The outcome stays in doubt if the answer was lost or this future is dropped during the
    // commit.
    if !matches!(committed, Err(DbError::ConnectionLost(_))) {
        doubt(false);
    }
    found.extend(committed?);
    db.signals.publish_growth(found);
    db.signals.publish_message(notified);
    Ok(outcomes)
}

fn is_held(task: &LockedTask) -> bool {
    task.run.as_ref().is_some_and(|run| run.holder.is_some())
}

/// Rebuilds the answer that was lost. A status right after the message shows that the message woke
/// the task.
fn appended_before(task: &LockedTask, seq: Seq) -> FollowedUp {
    let woken = task.state == TaskState::Submitted && task.status_seq == seq.next();
    FollowedUp::Appended { seq, last: task.last_seq, woken }
}

fn append(task: &mut LockedTask, message: &NewMessage) -> FollowedUp {
    if task.state.is_terminal() {
        return FollowedUp::Ended(task.state);
    }
    let bytes = message.entry.text.len() as u64;
    // The budget is checked under the lock, so concurrent messages cannot exceed it together.
    if !message.follow_up.budget.allows(task.follow_ups, bytes) {
        return FollowedUp::OverBudget;
    }
    task.follow_ups = task.follow_ups.with(bytes);
    let seq = task.append_entry(message.entry.clone(), 0);
    let woken = task.state.is_parked();
    if woken {
        wake(task, message.follow_up.accept.trace.clone());
    }
    FollowedUp::Appended { seq, last: task.last_seq, woken }
}

/// Queues a parked task again. The state changes in the same commit, so no client takes the old
/// question for a new one.
fn wake(task: &mut LockedTask, trace: Option<String>) {
    task.append_entry(
        EncodedEntry::from(&EntryBody::Status(StatusChange::to(TaskState::Submitted))),
        0,
    );
    task.turn += 1;
    task.run = Some(RunRow {
        due: task.now,
        stage: RunStage::Ready,
        queue_until: task.queue_until(task.now),
        epoch: task.epoch + 1,
        holder: None,
        attempt: 1,
        losses: 0,
        handed_back: false,
        cancel_at: None,
        trace,
        version: task.version.clone(),
    });
}
