//! Decides under row locks what becomes of overdue tasks.

use crate::{
    entry::EncodedEntry,
    error::DbResult,
    work::settle,
    write::{Changes, LockedTask, lock::lock_tasks, task::RunStage},
};
use chrono::TimeDelta;
use longhaul_domain::{EntryBody, FailureKind, MessageId, Note, TaskFailure, TaskKey};
use longhaul_runtime::IdSource;
use longhaul_store::{PoisonDecision, Reaped, decide_poison, is_suspect};
use sqlx_postgres::PgConnection;
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Reason why a task is reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReapReason {
    /// The worker deregistered.
    Retired,
    /// The worker is lost.
    Dead,
    /// The cancel deadline has passed. Only the clock of the statement that found it decides that.
    Cancel,
    /// The queue timeout has passed, by the clock of the statement that found it.
    Queue,
    /// The deadline has passed. The task was found without a lock, so everything is checked again.
    Deadline {
        /// Attempt in which a parked task parked.
        parked: i32,
    },
}

/// Rules of the decisions.
#[derive(Clone, Copy)]
pub struct ReapRules<'a> {
    /// Source of ids for final messages.
    pub ids: &'a dyn IdSource,
    /// Number of workers lost in a row that ends a task.
    pub max_losses: u32,
    /// Time that a worker has after a task's deadline.
    pub grace: Duration,
}

/// Locks these tasks, decides, and writes. Returns what was done; the caller commits.
pub async fn reap(
    connection: &mut PgConnection,
    found: &BTreeMap<TaskKey, ReapReason>,
    rules: ReapRules<'_>,
) -> DbResult<(Changes, Vec<Reaped>)> {
    let mut changes = Changes::default();
    let mut reaped = Vec::with_capacity(found.len());
    if !found.is_empty() {
        let tasks = lock_tasks(connection, found.keys().copied()).await?;
        let suspects = Suspects::among(&tasks, found, rules.max_losses);
        for (key, mut task) in tasks {
            let rank = suspects.rank(&task);
            let done = found.get(&key).and_then(|reason| decide(&mut task, *reason, rules, rank));
            // A release without deadlines ended this task; without cleanup every scan would find it
            // again.
            let stale =
                done.is_none() && task.state.is_terminal() && task.deadline.take().is_some();
            if done.is_some() || stale {
                changes.add_task(task);
            }
            reaped.extend(done);
        }
    }
    let unblocked = changes.write(connection).await?;
    reaped.extend(
        unblocked
            .into_iter()
            .map(|unblocked| Reaped::Due { key: unblocked.key, agent: unblocked.agent }),
    );
    Ok((changes, reaped))
}

/// Runs of each lost worker that have been lost too often, by key.
#[derive(Default)]
struct Suspects(BTreeMap<Uuid, Vec<TaskKey>>);

/// Rank of a run among its worker's suspects.
#[derive(Debug, Clone, Copy, Default)]
struct SuspectRank {
    place: usize,
    suspects: usize,
}

impl Suspects {
    fn among(
        tasks: &BTreeMap<TaskKey, LockedTask>,
        found: &BTreeMap<TaskKey, ReapReason>,
        max_losses: u32,
    ) -> Self {
        let mut suspects = Self::default();
        for (key, task) in tasks {
            let dead = found.get(key) == Some(&ReapReason::Dead);
            let run =
                task.run.as_ref().filter(|run| dead && is_suspect(run.losses + 1, max_losses));
            if let Some((_, worker)) = run.and_then(|run| run.holder) {
                suspects.0.entry(worker).or_default().push(*key);
            }
        }
        suspects
    }

    fn rank(&self, task: &LockedTask) -> SuspectRank {
        let holder = task.run.as_ref().and_then(|run| run.holder);
        let of_worker = holder.and_then(|(_, worker)| self.0.get(&worker));
        let place = |all: &Vec<TaskKey>| all.iter().position(|key| *key == task.key);
        match of_worker.and_then(|all| place(all).map(|place| (place, all.len()))) {
            Some((place, suspects)) => SuspectRank { place, suspects },
            None => SuspectRank::default(),
        }
    }
}

fn decide(
    task: &mut LockedTask,
    reason: ReapReason,
    rules: ReapRules<'_>,
    rank: SuspectRank,
) -> Option<Reaped> {
    if task.state.is_terminal() {
        return None;
    }
    match reason {
        ReapReason::Retired | ReapReason::Dead => lost(task, reason, rules, rank),
        ReapReason::Cancel => {
            // The run may have ended while this transaction waited for its lock.
            task.run.as_ref()?;
            Some(cancel(task))
        }
        ReapReason::Queue => {
            let run = task.run.as_ref().filter(|run| run.holder.is_none())?;
            let failed = TaskFailure::queue_timeout(run.attempt - 1);
            Some(fail(task, failed, rules))
        }
        ReapReason::Deadline { parked } => {
            let deadline = task.deadline.filter(|deadline| *deadline <= task.now)?;
            let attempts = match &task.run {
                Some(run) if run.holder.is_some() => {
                    let force = TimeDelta::from_std(rules.grace).ok()?;
                    (deadline.checked_add_signed(force)? <= task.now).then_some(run.attempt)?
                }
                Some(run) => run.attempt - 1,
                // The task was woken while this transaction waited for its lock; the next scan sees
                // the new run.
                None if !task.state.is_parked() => return None,
                None => parked,
            };
            Some(fail(task, TaskFailure::deadline(attempts), rules))
        }
    }
}

/// Offers the run of a lost worker again, unless it was lost too often or was to be canceled.
fn lost(
    task: &mut LockedTask,
    reason: ReapReason,
    rules: ReapRules<'_>,
    SuspectRank { place, suspects }: SuspectRank,
) -> Option<Reaped> {
    let now = task.now;
    let run = task.run.as_mut()?;
    let (_, worker) = run.holder?;
    if run.cancel_at.is_some() {
        return Some(cancel(task));
    }
    if reason == ReapReason::Retired {
        run.reoffer();
        return Some(Reaped::Offered { key: task.key, agent: task.agent.clone() });
    }
    // A lost worker costs no attempt, but counts towards poison.
    run.losses += 1;
    let (losses, attempts) = (run.losses, run.attempt);
    // Backoff spaces suspects out, so that the one that kills workers runs alone.
    let delay = match decide_poison(losses, rules.max_losses, place, suspects) {
        PoisonDecision::Poison => {
            return Some(fail(task, TaskFailure::poison(losses, attempts), rules));
        }
        PoisonDecision::OfferAfter(delay) => delay,
    };
    let due = task.time_after(delay);
    let run = task.run.as_mut()?;
    run.reoffer();
    run.due = if delay.is_zero() { now } else { due };
    if !delay.is_zero() {
        run.stage = RunStage::Scheduled;
    }
    let worker = worker.to_string();
    task.append_entry(EncodedEntry::from(&EntryBody::Note(Note::WorkerLost { worker })), 0);
    Some(Reaped::Offered { key: task.key, agent: task.agent.clone() })
}

fn cancel(task: &mut LockedTask) -> Reaped {
    settle::cancel_task(task, 0);
    Reaped::Canceled { key: task.key }
}

/// Appends the failed status, which is legal in every state that is not terminal, and removes the
/// run.
fn fail(task: &mut LockedTask, failed: TaskFailure, rules: ReapRules<'_>) -> Reaped {
    let because: FailureKind = failed.because;
    let id = || MessageId::from(rules.ids.uuid_v7());
    let status = failed.status(task.key.task, &task.context, None, id);
    task.append_entry(EncodedEntry::from(&status), 0);
    task.remove_run();
    Reaped::Failed { key: task.key, because }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::task::testing::running;
    use longhaul_domain::TaskState;
    use longhaul_runtime::SystemIds;

    const RULES: ReapRules<'static> =
        ReapRules { ids: &SystemIds, max_losses: 3, grace: Duration::from_secs(10) };
    const ALONE: SuspectRank = SuspectRank { place: 0, suspects: 1 };

    fn failed(task: &LockedTask, because: FailureKind) -> Reaped {
        Reaped::Failed { key: task.key, because }
    }

    #[test]
    fn an_overdue_run_ends_whatever_the_clock_says_under_the_lock() {
        for millis in [-1, 0, 1] {
            let mut task = running();
            let deadline = task.now + TimeDelta::milliseconds(millis);
            task.run.as_mut().unwrap().cancel_at = Some(deadline);
            let reaped = decide(&mut task, ReapReason::Cancel, RULES, ALONE);
            assert_eq!(reaped, Some(Reaped::Canceled { key: task.key }), "{millis}");
            assert_eq!((task.state, task.run), (TaskState::Canceled, None));
        }
    }

    #[test]
    fn the_third_worker_in_a_row_ends_the_task() {
        let mut task = running();
        for losses in 1..3 {
            let reaped = decide(&mut task, ReapReason::Dead, RULES, ALONE);
            assert!(matches!(reaped, Some(Reaped::Offered { .. })), "{reaped:?}");
            let run = task.run.as_mut().unwrap();
            assert_eq!((run.losses, run.attempt), (losses, 1));
            run.holder = running().run.unwrap().holder;
        }
        let reaped = decide(&mut task, ReapReason::Dead, RULES, ALONE);
        assert_eq!(reaped, Some(failed(&task, FailureKind::Poison)));
        assert_eq!(task.failure.unwrap().attempts, 1);
    }

    #[test]
    fn a_deadline_gives_a_running_worker_grace_and_ends_an_unclaimed_task() {
        let mut task = running();
        task.deadline = Some(task.now);
        let reason = ReapReason::Deadline { parked: 0 };
        assert_eq!(decide(&mut task.clone(), reason, RULES, ALONE), None);
        let mut late = task.clone();
        late.now += TimeDelta::seconds(10);
        let ended = Some(failed(&task, FailureKind::Deadline));
        assert_eq!(decide(&mut late, reason, RULES, ALONE), ended);
        task.run.as_mut().unwrap().holder = None;
        assert_eq!(decide(&mut task, reason, RULES, ALONE), ended);
        assert_eq!(task.failure.unwrap().attempts, 0);
    }
}
