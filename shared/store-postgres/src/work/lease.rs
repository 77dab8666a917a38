//! Workers and their leases, by the database's clock.

use crate::{
    column::{column, key},
    db::Db,
    failure::{DbResult, Failure},
    session::key_of,
    work::{
        lost,
        reap::decide::{self, Rules, Why},
    },
};
use longhaul_domain::{Epoch, Fence, TaskKey, WorkerId};
use longhaul_store::{HeartbeatReply, HeldDigest, NewWorker, Reaped};
use sqlx_core::query::query;
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Makes a worker known, also when it comes again. Without its session on this server it would be missed at once, and what
/// it had claimed by then would run twice: no row is written then.
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

/// Renews a lease; answers at least one row, with a digest of the runs that the worker holds and the tasks to cancel, or nothing
/// when the worker is not known any more.
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

/// Takes a worker off.
pub const RETIRE_WORKER: &str = "-- store::retire_worker
delete from workers where worker_id = $1";

/// What a worker holds.
pub const HELD_RUNS: &str = "-- store::held_runs
select owner_id, task_id, epoch, token from runs where worker = $1 order by (owner_id, task_id)";

/// Locks what a worker holds.
pub const LOCK_HELD_RUNS: &str = "-- store::lock_held_runs
select owner_id, task_id from runs where worker = $1 order by (owner_id, task_id) for update";

/// Registers a worker, whose session there is already: without it, it would be missed at once.
pub async fn register(db: &Db, worker: &NewWorker) -> DbResult<()> {
    let agents: Vec<&str> = worker.agents.iter().map(|agent| agent.name.as_str()).collect();
    let registered = query(REGISTER_WORKER)
        .bind(worker.id.uuid())
        .bind(&worker.name)
        .bind(agents)
        .bind(millis(worker.lease))
        .bind(key_of(worker.id))
        .execute(&db.pool)
        .await?;
    if registered.rows_affected() == 0 {
        // The session is on another server, or was lost a moment ago.
        db.servers.suspect();
        return Err(Failure::Lost(
            "this server does not know the session of the worker".to_owned(),
        ));
    }
    Ok(())
}

/// Renews a lease. It need not wait for the disk: a renewal that a crash forgets shortens a lease, no more.
pub async fn heartbeat(db: &Db, worker: WorkerId, lease: Duration) -> DbResult<HeartbeatReply> {
    let rows =
        query(HEARTBEAT).bind(worker.uuid()).bind(millis(lease)).fetch_all(&db.relaxed).await?;
    if rows.is_empty() {
        return Ok(HeartbeatReply::Lost);
    }
    // A worker without free slots claims nothing, and must not keep what it does not know of. The next one may have more luck.
    if let Err(failure) = lost::give_back(db).await {
        tracing::debug!(?failure, "lost claims could not be given back");
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

/// What a worker holds.
pub async fn held_runs(db: &Db, worker: WorkerId) -> DbResult<Vec<(TaskKey, Fence)>> {
    let rows = query(HELD_RUNS).bind(worker.uuid()).fetch_all(&db.relaxed).await?;
    rows.iter()
        .map(|row| {
            let fence = Fence { epoch: Epoch(column(row, "epoch")?), token: column(row, "token")? };
            Ok((key(row)?, fence))
        })
        .collect()
}

/// Takes a worker off and offers what it holds, as if nobody had claimed it.
pub async fn retire(db: &Db, worker: WorkerId) -> DbResult<Vec<Reaped>> {
    let mut transaction = db.begin().await?;
    query(RETIRE_WORKER).bind(worker.uuid()).execute(&mut *transaction).await?;
    let rows = query(LOCK_HELD_RUNS).bind(worker.uuid()).fetch_all(&mut *transaction).await?;
    let held: BTreeMap<TaskKey, Why> =
        rows.iter().map(|row| Ok((key(row)?, Why::Retired))).collect::<DbResult<_>>()?;
    let rules = Rules { ids: &*db.ids, max_losses: u32::MAX, grace: Duration::ZERO };
    let (changes, reaped) = decide::reap(&mut transaction, &held, rules).await?;
    transaction.commit().await?;
    db.signals.grown(changes.grown());
    Ok(reaped)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(1_000_000_000_000)
}
