//! What becomes of tasks for which something is overdue: decided in memory, once their rows are locked.

use crate::{
    entry::Encoded,
    failure::DbResult,
    work::settle,
    write::{Changes, LockedTask, lock::lock_tasks, task::Stage},
};
use chrono::TimeDelta;
use longhaul_domain::{EntryBody, FailureKind, MessageId, Note, TaskFailure, TaskKey};
use longhaul_runtime::IdSource;
use longhaul_store::{PoisonDecision, Reaped, is_suspect, verdict};
use sqlx_postgres::PgConnection;
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Why somebody looks at a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its worker took itself off.
    Retired,
    /// Its worker is dead.
    Dead,
    /// Its cancel deadline has passed, by the clock of the statement that found it; no other look at a clock decides.
    Cancel,
    /// It has waited too long in the queue, likewise.
    Queue,
    /// Its deadline has passed. Nothing is locked yet: everything is looked at again. The attempt is that of a parked task.
    Deadline {
        /// The attempt in which it parked.
        parked: i32,
    },
}

/// By what is decided.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Makes the ids of final messages.
    pub ids: &'a dyn IdSource,
    /// So many workers in a row end a task.
    pub max_losses: u32,
    /// How long a worker has after the deadline of a task.
    pub grace: Duration,
}

/// Locks these tasks, decides, and writes. Gives what was done; the transaction is the caller's.
pub async fn reap(
    connection: &mut PgConnection,
    found: &BTreeMap<TaskKey, Why>,
    rules: Rules<'_>,
) -> DbResult<(Changes, Vec<Reaped>)> {
    let mut changes = Changes::default();
    let mut reaped = Vec::with_capacity(found.len());
    if !found.is_empty() {
        let tasks = lock_tasks(connection, found.keys().copied()).await?;
        let suspects = Suspects::among(&tasks, found, rules.max_losses);
        for (key, mut task) in tasks {
            let standing = suspects.standing(&task);
            let done = found.get(&key).and_then(|why| decide(&mut task, *why, rules, standing));
            // A program that knows no deadlines has ended it; left alone, it would be found for ever.
            let stale =
                done.is_none() && task.state.is_terminal() && task.deadline.take().is_some();
            if done.is_some() || stale {
                changes.task(task);
            }
            reaped.extend(done);
        }
    }
    let freed = changes.write(connection).await?;
    reaped
        .extend(freed.into_iter().map(|freed| Reaped::Due { key: freed.key, agent: freed.agent }));
    Ok((changes, reaped))
}

/// The runs of each dead worker that have been lost too often, in the order of their keys.
#[derive(Default)]
struct Suspects(BTreeMap<Uuid, Vec<TaskKey>>);

/// Where a run stands among the suspects of its worker.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    place: usize,
    suspects: usize,
}

impl Suspects {
    fn among(
        tasks: &BTreeMap<TaskKey, LockedTask>,
        found: &BTreeMap<TaskKey, Why>,
        max_losses: u32,
    ) -> Self {
        let mut suspects = Self::default();
        for (key, task) in tasks {
            let dead = found.get(key) == Some(&Why::Dead);
            let run =
                task.run.as_ref().filter(|run| dead && is_suspect(run.losses + 1, max_losses));
            if let Some((_, worker)) = run.and_then(|run| run.holder) {
                suspects.0.entry(worker).or_default().push(*key);
            }
        }
        suspects
    }

    fn standing(&self, task: &LockedTask) -> Standing {
        let holder = task.run.as_ref().and_then(|run| run.holder);
        let of_worker = holder.and_then(|(_, worker)| self.0.get(&worker));
        let place = |all: &Vec<TaskKey>| all.iter().position(|key| *key == task.key);
        match of_worker.and_then(|all| place(all).map(|place| (place, all.len()))) {
            Some((place, suspects)) => Standing { place, suspects },
            None => Standing::default(),
        }
    }
}

fn decide(task: &mut LockedTask, why: Why, rules: Rules<'_>, standing: Standing) -> Option<Reaped> {
    if task.state.is_terminal() {
        return None;
    }
    match why {
        Why::Retired | Why::Dead => lost(task, why, rules, standing),
        Why::Cancel => {
            task.run.as_ref()?;
            Some(cancel(task))
        }
        Why::Queue => {
            let run = task.run.as_ref().filter(|run| run.holder.is_none())?;
            let failed = TaskFailure::queue_timeout(run.attempt - 1);
            Some(fail(task, failed, rules))
        }
        Why::Deadline { parked } => {
            let deadline = task.deadline.filter(|deadline| *deadline <= task.now)?;
            let attempts = match &task.run {
                Some(run) if run.holder.is_some() => {
                    let force = TimeDelta::from_std(rules.grace).ok()?;
                    (deadline.checked_add_signed(force)? <= task.now).then_some(run.attempt)?
                }
                Some(run) => run.attempt - 1,
                // It was woken while this waited for its rows: the next look sees its place in the queue.
                None if !task.state.is_parked() => return None,
                None => parked,
            };
            Some(fail(task, TaskFailure::deadline(attempts), rules))
        }
    }
}

/// Offers the run again whose worker is gone, unless it has been gone too often or was to stop.
fn lost(
    task: &mut LockedTask,
    why: Why,
    rules: Rules<'_>,
    Standing { place, suspects }: Standing,
) -> Option<Reaped> {
    let now = task.now;
    let run = task.run.as_mut()?;
    let (_, worker) = run.holder?;
    if run.cancel_at.is_some() {
        return Some(cancel(task));
    }
    if why == Why::Retired {
        run.offer();
        return Some(Reaped::Offered { key: task.key, agent: task.agent.clone() });
    }
    run.losses += 1;
    let (losses, attempts) = (run.losses, run.attempt);
    let delay = match verdict(losses, rules.max_losses, place, suspects) {
        PoisonDecision::Poison => {
            return Some(fail(task, TaskFailure::poison(losses, attempts), rules));
        }
        PoisonDecision::OfferAfter(delay) => delay,
    };
    let due = task.after(delay);
    let run = task.run.as_mut()?;
    run.offer();
    run.due = if delay.is_zero() { now } else { due };
    if !delay.is_zero() {
        run.stage = Stage::Scheduled;
    }
    let worker = worker.to_string();
    task.place(Encoded::from(&EntryBody::Note(Note::WorkerLost { worker })), 0);
    Some(Reaped::Offered { key: task.key, agent: task.agent.clone() })
}

fn cancel(task: &mut LockedTask) -> Reaped {
    settle::cancel(task, 0);
    Reaped::Canceled { key: task.key }
}

/// Appends the final status of a task that has not ended, which may fail in every state, and takes its run off.
fn fail(task: &mut LockedTask, failed: TaskFailure, rules: Rules<'_>) -> Reaped {
    let because: FailureKind = failed.because;
    let id = || MessageId::from(rules.ids.uuid_v7());
    let status = failed.status(task.key.task, &task.context, None, id);
    task.place(Encoded::from(&status), 0);
    task.drop_run();
    Reaped::Failed { key: task.key, because }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::task::testing::running;
    use longhaul_domain::TaskState;
    use longhaul_runtime::SystemIds;

    const RULES: Rules<'static> =
        Rules { ids: &SystemIds, max_losses: 3, grace: Duration::from_secs(10) };
    const ALONE: Standing = Standing { place: 0, suspects: 1 };

    fn failed(task: &LockedTask, because: FailureKind) -> Reaped {
        Reaped::Failed { key: task.key, because }
    }

    #[test]
    fn a_run_that_was_found_overdue_ends_whatever_the_clock_says_then() {
        for millis in [-1, 0, 1] {
            let mut task = running();
            let deadline = task.now + TimeDelta::milliseconds(millis);
            task.run.as_mut().unwrap().cancel_at = Some(deadline);
            let reaped = decide(&mut task, Why::Cancel, RULES, ALONE);
            assert_eq!(reaped, Some(Reaped::Canceled { key: task.key }), "{millis}");
            assert_eq!((task.state, task.run), (TaskState::Canceled, None));
        }
    }

    #[test]
    fn the_third_worker_in_a_row_ends_the_task() {
        let mut task = running();
        for losses in 1..3 {
            let reaped = decide(&mut task, Why::Dead, RULES, ALONE);
            assert!(matches!(reaped, Some(Reaped::Offered { .. })), "{reaped:?}");
            let run = task.run.as_mut().unwrap();
            assert_eq!((run.losses, run.attempt), (losses, 1));
            run.holder = running().run.unwrap().holder;
        }
        let reaped = decide(&mut task, Why::Dead, RULES, ALONE);
        assert_eq!(reaped, Some(failed(&task, FailureKind::Poison)));
        assert_eq!(task.dead.unwrap().attempts, 1);
    }

    #[test]
    fn a_deadline_lets_a_worker_settle_by_itself_and_ends_what_nobody_runs() {
        let mut task = running();
        task.deadline = Some(task.now);
        let why = Why::Deadline { parked: 0 };
        assert_eq!(decide(&mut task.clone(), why, RULES, ALONE), None);
        let mut late = task.clone();
        late.now += TimeDelta::seconds(10);
        let ended = Some(failed(&task, FailureKind::Deadline));
        assert_eq!(decide(&mut late, why, RULES, ALONE), ended);
        task.run.as_mut().unwrap().holder = None;
        assert_eq!(decide(&mut task, why, RULES, ALONE), ended);
        assert_eq!(task.dead.unwrap().attempts, 0);
    }
}
