//! Offering again what lost workers held, and ending what was not canceled in time. Any number of reapers may run at once:
//! what one works on the others skip.

use crate::{
    column::key,
    db::Db,
    entry::Encoded,
    failure::DbResult,
    intake::known::PRUNE_KEYS,
    work::settle,
    write::{Changes, LockedTask, lock::lock_tasks},
};
use longhaul_domain::{EntryBody, Note, TaskKey};
use longhaul_store::Reaped;
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Locks runs whose worker is not known or has let its lease run out. That a worker need not be known covers a claim that
/// committed while its worker was being taken off.
pub const LOST_RUNS: &str = "-- store::lost_runs
select r.owner_id, r.task_id
from runs r
where r.worker is not null and not exists (
    select from workers w where w.worker_id = r.worker and w.lease_until >= clock_timestamp() offset 0
)
order by r.worker
limit $1
for update of r skip locked";

/// Locks runs whose cancel deadline has passed.
pub const OVERDUE_CANCELS: &str = "-- store::overdue_cancels
select r.owner_id, r.task_id
from runs r
where r.cancel_at < (select clock_timestamp())
order by r.cancel_at
limit $1
for update of r skip locked";

/// Takes off workers whose lease is over and which hold nothing any more; those that still do stay until it is offered.
pub const REAP_WORKERS: &str = "-- store::reap_workers
delete from workers
where worker_id in (
    select w.worker_id from workers w
    where w.lease_until < clock_timestamp() and not exists (
        select from runs r where r.worker = w.worker_id offset 0
    )
    order by w.worker_id
    for update skip locked
)";

/// Locks the workers whose lease is over, so that none renews it while its runs are given away.
pub const LOCK_LOST_WORKERS: &str = "-- store::lock_lost_workers
select worker_id from workers where lease_until < clock_timestamp() order by worker_id for update skip locked";

/// Why a run is taken from whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its worker took itself off.
    Retired,
    /// The lease of its worker ran out.
    Dead,
    /// Its cancel deadline has passed, by the clock of the statement that found it; no other look at a clock decides.
    Overdue,
}

/// How many old dedupe keys go with each reaping.
const PRUNED: i64 = 500;

/// How long that may take.
const PRUNING: Duration = Duration::from_secs(5);

/// Reaps.
pub async fn reap(db: &Db, limit: u32) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    query(LOCK_LOST_WORKERS).execute(&mut *transaction).await?;
    let mut found = BTreeMap::new();
    // What is both is overdue: it ends.
    for (statement, why) in [(LOST_RUNS, Why::Dead), (OVERDUE_CANCELS, Why::Overdue)] {
        let rows = query(statement).bind(i64::from(limit)).fetch_all(&mut *transaction).await?;
        for row in &rows {
            found.insert(key(row)?, why);
        }
    }
    let found = found.into_iter().take(limit as usize).collect();
    let (changes, reaped) = offer(&mut transaction, &found).await?;
    query(REAP_WORKERS).execute(&mut *transaction).await?;
    transaction.commit().await?;
    db.signals.grown(changes.grown());
    Ok(reaped)
}

/// Deletes some dedupe keys that are too old to count. They do not count, whether they are there or not, so another time may
/// have more luck.
pub async fn prune(db: Arc<Db>) {
    let pruned = query(PRUNE_KEYS).bind(PRUNED).execute(&db.relaxed);
    match timeout(PRUNING, pruned).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "old dedupe keys could not be deleted"),
        Err(_) => tracing::debug!("old dedupe keys could not be deleted in time"),
    }
}

/// Offers these runs, whose rows are locked. Where a cancel is due the task ends instead.
pub async fn offer(
    connection: &mut PgConnection,
    found: &BTreeMap<TaskKey, Why>,
) -> DbResult<(Changes, Vec<Reaped>)> {
    let mut changes = Changes::default();
    let mut reaped = Vec::with_capacity(found.len());
    if !found.is_empty() {
        for (key, mut task) in lock_tasks(connection, found.keys().copied()).await? {
            if let Some(why) = found.get(&key) {
                reaped.extend(offer_one(&mut task, *why));
                changes.task(task);
            }
        }
    }
    changes.write(connection).await?;
    Ok((changes, reaped))
}

fn offer_one(task: &mut LockedTask, why: Why) -> Option<Reaped> {
    let (key, now) = (task.key, task.now);
    let run = task.run.as_mut()?;
    let canceled = match why {
        Why::Retired => run.cancel_at.is_some(),
        Why::Dead => run.cancel_at.is_some_and(|at| at < now),
        Why::Overdue => true,
    };
    if canceled {
        settle::cancel(task, 0);
        return Some(Reaped::Canceled { key });
    }
    let (_, worker) = run.holder?;
    run.offer();
    if why == Why::Dead {
        run.due = now;
        run.losses += 1;
        let worker = worker.to_string();
        task.place(Encoded::from(&EntryBody::Note(Note::WorkerLost { worker })), 0);
    }
    Some(Reaped::Offered { key, agent: task.agent.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::task::testing::running;
    use chrono::TimeDelta;
    use longhaul_domain::TaskState;

    #[test]
    fn a_run_that_was_found_overdue_ends_whatever_the_clock_says_then() {
        for millis in [-1, 0, 1] {
            let mut task = running();
            let deadline = task.now + TimeDelta::milliseconds(millis);
            task.run.as_mut().unwrap().cancel_at = Some(deadline);
            let reaped = offer_one(&mut task, Why::Overdue);
            assert_eq!(reaped, Some(Reaped::Canceled { key: task.key }), "{millis}");
            assert_eq!((task.state, task.run), (TaskState::Canceled, None));
        }
    }
}
