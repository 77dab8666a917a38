//! Tasks for which something is overdue.

use crate::{
    column::{column, key},
    db::Db,
    failure::DbResult,
    work::reap::{
        decide::{self, Rules, Why},
        look::millis,
        watch::LostWorkers,
        workers,
    },
};
use longhaul_domain::TaskKey;
use longhaul_store::{ReapRequest, Reaped};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::collections::BTreeMap;

/// Locks runs whose worker is not known or is dead. That a worker need not be known covers a claim that committed while its
/// worker was being taken off.
pub const LOST_RUNS: &str = "-- store::lost_runs
select r.owner_id, r.task_id
from runs r
where r.worker is not null and not exists (
    select from workers w where w.worker_id = r.worker and w.lost_at is null offset 0
)
order by r.worker, r.losses desc
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

/// Locks runs that have waited too long for a worker. `num_nulls` keeps the planner from walking the queue.
pub const QUEUE_TIMEOUTS: &str = "-- store::queue_timeouts
select r.owner_id, r.task_id
from runs r
where num_nulls(r.worker) = 1 and r.queue_until < (select clock_timestamp())
order by r.queue_until
limit $1
for update of r skip locked";

/// Finds tasks whose deadline has passed, and where a worker runs them so long ago that it should have ended them. Locks
/// nothing: a parked task has no run, and states are locked behind runs.
pub const PASSED_DEADLINES: &str = "-- store::passed_deadlines
select s.owner_id, s.task_id, coalesce(l.attempt, 0) as attempt
from (
    select d.owner_id, d.task_id, d.deadline_at, d.status_seq
    from task_state d
    where d.deadline_at <= (select clock_timestamp())
    order by d.deadline_at
    limit 1000
) s
left join lateral (
    select r.worker from runs r where r.owner_id = s.owner_id and r.task_id = s.task_id offset 0
) r on true
left join lateral (
    select l.attempt from log l where l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq offset 0
) l on true
where r.worker is null or s.deadline_at + $2::int8 * interval '1 millisecond' <= clock_timestamp()
limit $1";

/// Deals with runs whose worker is dead or that have waited too long, in one transaction.
pub async fn runs(db: &Db, reap: &ReapRequest, lost: &LostWorkers) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    workers::lose(&mut transaction, lost).await?;
    let found = lock_runs(&mut transaction, reap).await?;
    let (changes, reaped) = decide::reap(&mut transaction, &found, rules(db, reap)).await?;
    workers::take_off(&mut transaction).await?;
    transaction.commit().await?;
    db.signals.grown(changes.grown());
    Ok(reaped)
}

/// Ends tasks whose deadline has passed, at most so many. A transaction of its own: it waits for rows, and whoever does so must
/// hold none that were locked in another order.
pub async fn deadlines(db: &Db, reap: &ReapRequest, limit: usize) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    let mut found = BTreeMap::new();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let passed = query(PASSED_DEADLINES).bind(limit).bind(millis(reap.grace));
    for row in passed.fetch_all(&mut *transaction).await? {
        let parked = column(&row, "attempt")?;
        found.insert(key(&row)?, Why::Deadline { parked });
    }
    let (changes, reaped) = decide::reap(&mut transaction, &found, rules(db, reap)).await?;
    transaction.commit().await?;
    db.signals.grown(changes.grown());
    Ok(reaped)
}

fn rules<'a>(db: &'a Db, reap: &ReapRequest) -> Rules<'a> {
    Rules { ids: &*db.ids, max_losses: reap.max_losses, grace: reap.grace }
}

async fn lock_runs(
    connection: &mut PgConnection,
    reap: &ReapRequest,
) -> DbResult<BTreeMap<TaskKey, Why>> {
    let mut found = BTreeMap::new();
    // What was to be canceled is, whatever else is the matter with it.
    let kinds =
        [(LOST_RUNS, Why::Dead), (QUEUE_TIMEOUTS, Why::Queue), (OVERDUE_CANCELS, Why::Cancel)];
    for (statement, why) in kinds {
        // All that is found is dealt with: the suspects of a dead worker are judged together.
        let left = (reap.limit as usize).saturating_sub(found.len());
        let limit = i64::try_from(left).unwrap_or(i64::MAX);
        for row in query(statement).bind(limit).fetch_all(&mut *connection).await? {
            found.insert(key(&row)?, why);
        }
    }
    Ok(found)
}
