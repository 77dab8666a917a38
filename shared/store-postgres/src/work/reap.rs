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
use std::collections::BTreeSet;

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

/// How a worker went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It took itself off.
    Retired,
    /// Its lease ran out.
    Dead,
}

/// How many old dedupe keys go with each reaping.
const PRUNED: i64 = 500;

/// Reaps.
pub async fn reap(db: &Db, limit: u32) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    query(LOCK_LOST_WORKERS).execute(&mut *transaction).await?;
    let mut keys = BTreeSet::new();
    for statement in [OVERDUE_CANCELS, LOST_RUNS] {
        let rows = query(statement).bind(i64::from(limit)).fetch_all(&mut *transaction).await?;
        keys.extend(rows.iter().map(key).collect::<DbResult<Vec<_>>>()?);
    }
    let keys: Vec<TaskKey> = keys.into_iter().take(limit as usize).collect();
    let (changes, reaped) = offer(&mut transaction, &keys, Lost::Dead).await?;
    query(REAP_WORKERS).execute(&mut *transaction).await?;
    transaction.commit().await?;
    db.signals.grown(changes.grown());
    // Old keys do not count, whether they are there or not: another reaping may have more luck.
    if let Err(error) = query(PRUNE_KEYS).bind(PRUNED).execute(&db.relaxed).await {
        tracing::debug!(%error, "old dedupe keys could not be deleted");
    }
    Ok(reaped)
}

/// Offers these runs, whose rows are locked. Where a cancel is due the task ends instead.
pub async fn offer(
    connection: &mut PgConnection,
    keys: &[TaskKey],
    lost: Lost,
) -> DbResult<(Changes, Vec<Reaped>)> {
    let mut changes = Changes::default();
    let mut reaped = Vec::with_capacity(keys.len());
    if !keys.is_empty() {
        for mut task in lock_tasks(connection, keys.iter().copied()).await?.into_values() {
            reaped.extend(offer_one(&mut task, lost));
            changes.task(task);
        }
    }
    changes.write(connection).await?;
    Ok((changes, reaped))
}

fn offer_one(task: &mut LockedTask, lost: Lost) -> Option<Reaped> {
    let (key, now) = (task.key, task.now);
    let run = task.run.as_mut()?;
    let canceled = match lost {
        Lost::Retired => run.cancel_at.is_some(),
        Lost::Dead => run.cancel_at.is_some_and(|at| at < now),
    };
    if canceled {
        settle::cancel(task, 0);
        return Some(Reaped::Canceled { key });
    }
    let worker = run.holder.map(|(_, worker)| worker);
    run.offer();
    if lost == Lost::Dead {
        run.due = now;
        run.losses += 1;
        let worker = worker.unwrap_or_default().to_string();
        task.place(Encoded::from(&EntryBody::Note(Note::WorkerLost { worker })), 0);
    }
    Some(Reaped::Offered { key, agent: task.agent.clone() })
}
