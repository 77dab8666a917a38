//! Messages to tasks that are there.
//!
//! The task is locked before its dedupe keys are looked up, so that two nodes with the same message come one after the
//! other. A message that wakes a parked task, its new state and its place in the queue are one commit.

use crate::{
    db::Db,
    entry::Encoded,
    failure::{DbResult, Failure},
    intake::known::known,
    replay,
    write::{Changes, LockedTask, Run, Stage, lock::lock_tasks},
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

/// A message that waits for its batch.
#[derive(Debug)]
pub struct NewMessage {
    /// What was asked.
    pub follow_up: AcceptFollowUp,
    /// Its entry.
    pub entry: Encoded,
    /// Whether an earlier try may have been committed without our knowing.
    in_doubt: AtomicBool,
}

impl From<AcceptFollowUp> for NewMessage {
    fn from(follow_up: AcceptFollowUp) -> Self {
        let entry = Encoded::from(&EntryBody::Message(follow_up.accept.message.clone()));
        Self { follow_up, entry, in_doubt: AtomicBool::new(false) }
    }
}

impl NewMessage {
    /// What it weighs in a batch, in bytes.
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

/// Runs one batch.
pub async fn run(db: Arc<Db>, messages: Vec<NewMessage>) -> Vec<Result<FollowedUp>> {
    replay::batch(&*db, messages, |db, all| Box::pin(accept(db, all))).await
}

async fn accept(db: &Db, messages: &[NewMessage]) -> DbResult<Vec<Result<FollowedUp>>> {
    let mut transaction = db.begin().await?;
    let mut tasks = lock_tasks(&mut transaction, messages.iter().map(NewMessage::key)).await?;
    let keys: Vec<_> = messages.iter().map(|m| (m.key().owner, m.dedupe())).collect();
    let mut seen: HashMap<_, _> = known(&mut transaction, &keys)
        .await?
        .into_iter()
        .map(|(place, known)| (place, (known.content, known.task, known.seq)))
        .collect();

    let mut changes = Changes::default();
    let (mut touched, mut heard, mut found) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        let (key, dedupe) = (message.key(), message.dedupe());
        let place = (key.owner, dedupe.key);
        if let Some(&(content, task, seq)) = seen.get(&place) {
            let ours = message.in_doubt.load(Ordering::Relaxed) && task == key.task;
            let there = tasks.get(&key).filter(|_| ours);
            outcomes.push(Ok(match there {
                _ if content != dedupe.content => FollowedUp::KeyReused,
                Some(there) => {
                    found.push((key, there.last_seq));
                    if is_held(there) {
                        heard.insert(key);
                    }
                    appended_before(there, seq)
                }
                None => FollowedUp::Duplicate { task, seq },
            }));
            continue;
        }
        let Some(task) = tasks.get_mut(&key) else {
            outcomes.push(Ok(FollowedUp::NotFound));
            continue;
        };
        let outcome = append(task, message);
        if let FollowedUp::Appended { seq, .. } = outcome {
            changes.blobs(key.owner, &message.follow_up.accept.blobs);
            changes.key(key, dedupe, seq, task.now);
            seen.insert(place, (dedupe.content, key.task, seq));
            touched.insert(key);
            if is_held(task) {
                heard.insert(key);
            }
        }
        outcomes.push(Ok(outcome));
    }
    for key in touched {
        tasks.remove(&key).into_iter().for_each(|task| changes.task(task));
    }
    let doubt = |doubt| messages.iter().for_each(|m| m.in_doubt.store(doubt, Ordering::Relaxed));
    doubt(true);
    let committed = changes.commit(transaction, &db.signals).await;
    // Lost answers leave it in doubt, and so does giving the try up here.
    if !matches!(committed, Err(Failure::Lost(_))) {
        doubt(false);
    }
    found.extend(committed?);
    db.signals.grown(found);
    db.signals.message(heard);
    Ok(outcomes)
}

fn is_held(task: &LockedTask) -> bool {
    task.run.as_ref().is_some_and(|run| run.holder.is_some())
}

/// The answer that was lost: a status right behind the message means that the message woke the task.
fn appended_before(task: &LockedTask, seq: Seq) -> FollowedUp {
    let woken = task.state == TaskState::Submitted && task.status_seq == seq.next();
    FollowedUp::Appended { seq, last: task.last_seq, woken }
}

fn append(task: &mut LockedTask, message: &NewMessage) -> FollowedUp {
    if task.state.is_terminal() {
        return FollowedUp::Ended(task.state);
    }
    let bytes = message.entry.text.len() as u64;
    if !message.follow_up.budget.allows(task.follow_ups, bytes) {
        return FollowedUp::OverBudget;
    }
    task.follow_ups = task.follow_ups.with(bytes);
    let seq = task.place(message.entry.clone(), 0);
    let woken = task.state.is_parked();
    if woken {
        wake(task, message.follow_up.accept.trace.clone());
    }
    FollowedUp::Appended { seq, last: task.last_seq, woken }
}

/// Puts a parked task back into the queue. Its state changes with it: nobody takes the old question for a new one.
fn wake(task: &mut LockedTask, trace: Option<String>) {
    task.place(Encoded::from(&EntryBody::Status(StatusChange::to(TaskState::Submitted))), 0);
    task.turn += 1;
    task.run = Some(Run {
        due: task.now,
        stage: Stage::Ready,
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
