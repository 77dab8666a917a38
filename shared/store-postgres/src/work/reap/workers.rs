//! Marks workers as lost and deletes them.
//!
//! A worker is lost when its lease has expired, or when its session lock has been free for a second
//! and it has not reported since. A process also [watches](super::watch) both by its own clock,
//! because the database's clock may jump.
//!
//! A server that comes back gives every worker a full lease first: while it was away no lease could
//! be renewed, and every session was lost. Once a worker's session has been seen on it again, its
//! absence counts as before. The server's start time, its timeline and an unlogged table, which no
//! crash survives, tell one life of a server from the next.

use crate::{db::Db, error::DbResult, work::reap::watch::LostWorkers};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;

/// Records that the server changed or restarted, or that its clock was set back to before its
/// start. The first process to notice sets the time.
pub const RECORD_SERVER_START: &str = "-- store::record_server_start
with life as (
    insert into server_run default values on conflict do nothing returning one
)
update server_epoch
set identity = server_identity(), since = clock_timestamp()
where identity <> server_identity() or since > clock_timestamp() or exists (select from life)";

/// Marks workers whose session has gone, has returned, or was seen for the first time since the
/// server started.
pub const MARK_WORKER_SESSIONS: &str = "-- store::mark_worker_sessions
update workers w
set gone_since = case when not l.present then clock_timestamp() end,
    session_server = case when l.present then e.identity else w.session_server end
from worker_life l, server_epoch e
where l.worker_id = w.worker_id and w.lost_at is null and l.same_server
    and case
        when l.present then w.gone_since is not null or l.unseen
        else w.gone_since is null and l.watched
    end";

/// Marks workers as lost whose lease was to end then, or whose session has been gone since then.
///
/// A lost worker never returns. A worker that reported in between is not marked.
pub const MARK_WORKERS_LOST: &str = "-- store::mark_workers_lost
update workers w
set lost_at = clock_timestamp()
from worker_life l
where l.worker_id = w.worker_id and w.lost_at is null and l.same_server
    and w.lease_until = l.lease_until and w.seen_at is not distinct from l.seen_at
    and w.gone_since is not distinct from l.gone_since
    and (
        exists (
            select from unnest($1::uuid[], $2::timestamptz[]) as o (worker_id, ends_at)
            where o.worker_id = w.worker_id and o.ends_at = l.ends_at
        )
        or not l.present and l.watched and l.beat_at < l.gone_since and exists (
            select from unnest($3::uuid[], $4::timestamptz[]) as o (worker_id, gone_since)
            where o.worker_id = w.worker_id and o.gone_since = l.gone_since
        )
    )";

/// Deletes lost workers without runs; the others stay until their runs are offered again.
pub const DELETE_LOST_WORKERS: &str = "-- store::delete_lost_workers
delete from workers
where worker_id in (
    select w.worker_id from workers w
    where w.lost_at is not null and not exists (
        select from runs r where r.worker = w.worker_id offset 0
    )
    order by w.worker_id
    for update skip locked
)";

/// Records that the server changed or restarted.
pub async fn record_server_start(db: &Db) -> DbResult<()> {
    tracing::info!("database server started: every worker gets a full lease");
    query(RECORD_SERVER_START).execute(&db.pool).await?;
    Ok(())
}

/// Marks workers whose session has gone or returned.
pub async fn mark_sessions(db: &Db) -> DbResult<()> {
    query(MARK_WORKER_SESSIONS).execute(&db.relaxed).await?;
    Ok(())
}

/// Marks workers as lost.
pub async fn mark_lost(connection: &mut PgConnection, lost: &LostWorkers) -> DbResult<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let (leased, ends): (Vec<_>, Vec<_>) = lost.by_lease.iter().copied().unzip();
    let (gone, since): (Vec<_>, Vec<_>) = lost.by_session.iter().copied().unzip();
    query(MARK_WORKERS_LOST)
        .bind(leased)
        .bind(ends)
        .bind(gone)
        .bind(since)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes lost workers without runs.
pub async fn delete_lost(connection: &mut PgConnection) -> DbResult<()> {
    query(DELETE_LOST_WORKERS).execute(connection).await?;
    Ok(())
}
