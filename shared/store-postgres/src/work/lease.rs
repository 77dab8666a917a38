//! Workers and their leases, timed by the database's clock.

use crate::{
    column::{column, key},
    db::Db,
    error::{DbError, DbResult},
    work::reap::decide::{self, ReapReason, ReapRules},
    worker_sessions::lock_key,
};
use longhaul_domain::{Epoch, Fence, TaskKey, WorkerId};
use longhaul_store::{HeartbeatReply, HeldDigest, NewWorker, Reaped};
use sqlx_core::query::query;
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Registers a worker, also one that returns.
///
/// Inserts nothing unless the worker's session lock is held on this server: the worker would count
/// as lost at once, and its runs would run twice.
pub const REGISTER_WORKER: &str = "-- store::register_worker
insert into workers (worker_id, name, agents, registered_at, lease_until, lease_ms, session_key)
select $1, $2, $3, now, now + $4::int8 * interval '1 millisecond', $4, $5 from clock_timestamp() as now
where exists (
    select from pg_locks l
    where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
        and ((l.classid::int8 << 32) | l.objid::int8) = $5::int8
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
on conflict (worker_id) do update
set name = excluded.name, agents = excluded.agents, lease_until = excluded.lease_until, lease_ms = excluded.lease_ms,
    session_key = excluded.session_key";

/// Renews a lease.
///
/// Returns at least one row with a digest of the worker's runs and the tasks to cancel, or no row
/// for an unknown worker.
pub const HEARTBEAT: &str = "-- store::heartbeat
with renewed as (
    update workers set lease_until = clock_timestamp() + $2::int8 * interval '1 millisecond', lease_ms = $2
    where worker_id = $1 and lost_at is null
    returning worker_id
), held as materialized (
    select r.*
    from renewed w
    cross join lateral (
        select r.owner_id, r.task_id, r.token, r.cancel_at from runs r where r.worker = w.worker_id offset 0
    ) r
), digest as materialized (
    select count(*) as runs,
        coalesce(bit_xor(('x' || translate(left(h.token::text, 18), '-', ''))::bit(64)::int8), 0) as tokens
    from held h
)
select h.owner_id, h.task_id, d.runs, d.tokens
from renewed
cross join digest d
left join held h on h.cancel_at is not null";

/// Deletes a worker.
pub const DEREGISTER_WORKER: &str = "-- store::deregister_worker
delete from workers where worker_id = $1";

/// Reads the runs that a worker holds.
pub const HELD_RUNS: &str = "-- store::held_runs
select owner_id, task_id, epoch, token from runs where worker = $1 order by (owner_id, task_id)";

/// Locks the runs that a worker holds.
pub const LOCK_HELD_RUNS: &str = "-- store::lock_held_runs
select owner_id, task_id from runs where worker = $1 order by (owner_id, task_id) for update";

/// Registers a worker, whose session lock must be held already.
pub async fn register(db: &Db, worker: &NewWorker) -> DbResult<()> {
    let agents: Vec<&str> = worker.agents.iter().map(|agent| agent.name.as_str()).collect();
    let registered = query(REGISTER_WORKER)
        .bind(worker.id.uuid())
        .bind(&worker.name)
        .bind(agents)
        .bind(millis(worker.lease))
        .bind(lock_key(worker.id))
        .execute(&db.pool)
        .await?;
    if registered.rows_affected() == 0 {
        // The session is on another server, or has just been lost.
        db.servers.suspect();
        return Err(DbError::ConnectionLost(
            "the worker's session lock is not held on this server".to_owned(),
        ));
    }
    Ok(())
}

/// Renews a lease. The commit does not wait for the disk: a renewal lost in a crash only shortens
/// the lease.
pub async fn heartbeat(db: &Db, worker: WorkerId, lease: Duration) -> DbResult<HeartbeatReply> {
    let rows =
        query(HEARTBEAT).bind(worker.uuid()).bind(millis(lease)).fetch_all(&db.relaxed).await?;
    // No row was renewed: the worker was marked lost or deregistered.
    if rows.is_empty() {
        return Ok(HeartbeatReply::Lost);
    }
    // A worker without free slots does not claim, so unclaim lost claims here too. A failure is
    // retried at the next heartbeat.
    if let Err(failure) = db.lost_claims.unclaim(&db.relaxed).await {
        tracing::debug!(?failure, "unclaiming lost claims failed");
    }
    let mut cancels = Vec::new();
    let mut held = HeldDigest::default();
    for row in &rows {
        held = HeldDigest {
            runs: u32::try_from(column::<i64>(row, "runs")?).unwrap_or(u32::MAX),
            tokens: column::<i64>(row, "tokens")?.cast_unsigned(),
        };
        if column::<Option<Uuid>>(row, "task_id")?.is_some() {
            cancels.push(key(row)?);
        }
    }
    Ok(HeartbeatReply::Renewed { cancels, held })
}

/// Reads the runs that a worker holds.
pub async fn held_runs(db: &Db, worker: WorkerId) -> DbResult<Vec<(TaskKey, Fence)>> {
    let rows = query(HELD_RUNS).bind(worker.uuid()).fetch_all(&db.relaxed).await?;
    rows.iter()
        .map(|row| {
            let fence = Fence { epoch: Epoch(column(row, "epoch")?), token: column(row, "token")? };
            Ok((key(row)?, fence))
        })
        .collect()
}

/// Deletes a worker and offers its runs again without counting a loss.
pub async fn deregister(db: &Db, worker: WorkerId) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    query(DEREGISTER_WORKER).bind(worker.uuid()).execute(&mut *transaction).await?;
    let rows = query(LOCK_HELD_RUNS).bind(worker.uuid()).fetch_all(&mut *transaction).await?;
    let held: BTreeMap<TaskKey, ReapReason> =
        rows.iter().map(|row| Ok((key(row)?, ReapReason::Retired))).collect::<DbResult<_>>()?;
    // A deregistered worker released its runs in good order, so no loss counts.
    let rules = ReapRules { ids: &*db.ids, max_losses: u32::MAX, grace: Duration::ZERO };
    let (changes, reaped) = decide::reap(&mut transaction, &held, rules).await?;
    transaction.commit().await?;
    db.signals.publish_growth(changes.grown_logs());
    Ok(reaped)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(1_000_000_000_000)
}
