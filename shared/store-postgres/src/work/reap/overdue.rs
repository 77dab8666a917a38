//! Reaps overdue tasks.

use crate::{
    column::{column, key},
    db::Db,
    error::DbResult,
    work::reap::{
        decide::{self, ReapReason, ReapRules},
        scan::millis,
        watch::LostWorkers,
        workers,
    },
};
use longhaul_domain::TaskKey;
use longhaul_store::{ReapRequest, Reaped};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::collections::BTreeMap;

/// Locks runs whose worker is lost or unknown. An unknown worker means that a claim committed while
/// its worker was being deleted.
pub const LOCK_LOST_RUNS: &str = "-- store::lock_lost_runs
select r.owner_id, r.task_id
from runs r
where r.worker is not null and not exists (
    select from workers w where w.worker_id = r.worker and w.lost_at is null offset 0
)
order by r.worker, r.losses desc
limit $1
for update of r skip locked";

/// Locks runs whose cancel deadline has passed.
pub const LOCK_OVERDUE_CANCELS: &str = "-- store::lock_overdue_cancels
select r.owner_id, r.task_id
from runs r
where r.cancel_at < (select clock_timestamp())
order by r.cancel_at
limit $1
for update of r skip locked";

/// Locks runs whose queue timeout has passed. `num_nulls` keeps the planner from walking the queue.
pub const LOCK_QUEUE_TIMEOUTS: &str = "-- store::lock_queue_timeouts
select r.owner_id, r.task_id
from runs r
where num_nulls(r.worker) = 1 and r.queue_until < (select clock_timestamp())
order by r.queue_until
limit $1
for update of r skip locked";

/// Finds tasks whose deadline has passed; for a running task, by more than the grace period.
///
/// Locks nothing: a parked task has no run, and states are locked after runs.
pub const FIND_PASSED_DEADLINES: &str = "-- store::find_passed_deadlines
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

/// Reaps the runs of lost workers and overdue runs, in one transaction.
pub async fn reap_runs(db: &Db, reap: &ReapRequest, lost: &LostWorkers) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    // In the same transaction, so that a worker is never lost while its runs stay claimed.
    workers::mark_lost(&mut transaction, lost).await?;
    let found = lock_runs(&mut transaction, reap).await?;
    let (changes, reaped) = decide::reap(&mut transaction, &found, rules(db, reap)).await?;
    workers::delete_lost(&mut transaction).await?;
    transaction.commit().await?;
    db.signals.publish_growth(changes.grown_logs());
    Ok(reaped)
}

/// Fails tasks whose deadline has passed, up to a limit.
///
/// It needs its own transaction: it waits for row locks, so it must hold none taken in another
/// order.
pub async fn fail_past_deadline(
    db: &Db,
    reap: &ReapRequest,
    limit: usize,
) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    let mut found = BTreeMap::new();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let passed = query(FIND_PASSED_DEADLINES).bind(limit).bind(millis(reap.grace));
    for row in passed.fetch_all(&mut *transaction).await? {
        let parked = column(&row, "attempt")?;
        found.insert(key(&row)?, ReapReason::Deadline { parked });
    }
    let (changes, reaped) = decide::reap(&mut transaction, &found, rules(db, reap)).await?;
    transaction.commit().await?;
    db.signals.publish_growth(changes.grown_logs());
    Ok(reaped)
}

fn rules<'a>(db: &'a Db, reap: &ReapRequest) -> ReapRules<'a> {
    ReapRules { ids: &*db.ids, max_losses: reap.max_losses, grace: reap.grace }
}

async fn lock_runs(
    connection: &mut PgConnection,
    reap: &ReapRequest,
) -> DbResult<BTreeMap<TaskKey, ReapReason>> {
    let mut found = BTreeMap::new();
    // Cancels come last, so that they override any other reason for the same task.
    let kinds = [
        (LOCK_LOST_RUNS, ReapReason::Dead),
        (LOCK_QUEUE_TIMEOUTS, ReapReason::Queue),
        (LOCK_OVERDUE_CANCELS, ReapReason::Cancel),
    ];
    for (statement, reason) in kinds {
        // The limit applies here and not later, because the suspects of one worker are judged
        // together.
        let left = (reap.limit as usize).saturating_sub(found.len());
        let limit = i64::try_from(left).unwrap_or(i64::MAX);
        for row in query(statement).bind(limit).fetch_all(&mut *connection).await? {
            found.insert(key(&row)?, reason);
        }
    }
    Ok(found)
}
