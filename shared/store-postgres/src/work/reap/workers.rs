//! Which workers are dead.
//!
//! A worker is dead when its lease is over, or when nobody has held the lock of its session for a second and it has not been
//! heard of since; both as a process has [watched](super::watch) it, since the database's clock may be put forward or back.
//! A server that comes back gives every worker a full lease first: while it was away no lease could be renewed, and every session
//! was lost. A worker whose session was seen on it again needs no such time: from then on its absence counts as before. The
//! life of a server is known by when it was started, by its timeline, and by a table that no crash survives.

use crate::{db::Db, failure::DbResult, work::reap::watch::LostWorkers};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;

/// Notes that the server is another one, or has come back, or that its clock was put back to before it came. Of several that notice
/// the first says when.
pub const NOTE_SERVER: &str = "-- store::note_server
with life as (
    insert into server_run default values on conflict do nothing returning one
)
update server_epoch
set identity = server_identity(), since = clock_timestamp()
where identity <> server_identity() or since > clock_timestamp() or exists (select from life)";

/// Notes which workers have no session any more, and which have one again, or have one for the first time in this life of the
/// server.
pub const MARK_WORKERS: &str = "-- store::mark_workers
update workers w
set gone_since = case when not l.present then clock_timestamp() end,
    session_server = case when l.present then e.identity else w.session_server end
from worker_life l, server_epoch e
where l.worker_id = w.worker_id and w.lost_at is null and l.same_server
    and case
        when l.present then w.gone_since is not null or l.unseen
        else w.gone_since is null and l.watched
    end";

/// Notes that workers are dead, whose lease was to end then or whose session is gone since then; nothing brings them back. One that
/// was heard of in between is not.
pub const LOSE_WORKERS: &str = "-- store::lose_workers
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

/// Takes off dead workers that hold nothing any more; those that still do stay until it is offered.
pub const REAP_WORKERS: &str = "-- store::reap_workers
delete from workers
where worker_id in (
    select w.worker_id from workers w
    where w.lost_at is not null and not exists (
        select from runs r where r.worker = w.worker_id offset 0
    )
    order by w.worker_id
    for update skip locked
)";

/// Notes that the server is another one.
pub async fn note_server(db: &Db) -> DbResult<()> {
    tracing::info!("the database server has come back; every worker has a full lease from now on");
    query(NOTE_SERVER).execute(&db.pool).await?;
    Ok(())
}

/// Notes whose session has gone or come back.
pub async fn mark(db: &Db) -> DbResult<()> {
    query(MARK_WORKERS).execute(&db.relaxed).await?;
    Ok(())
}

/// Notes which workers are dead.
pub async fn lose(connection: &mut PgConnection, lost: &LostWorkers) -> DbResult<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let (leased, ends): (Vec<_>, Vec<_>) = lost.by_lease.iter().copied().unzip();
    let (gone, since): (Vec<_>, Vec<_>) = lost.by_session.iter().copied().unzip();
    query(LOSE_WORKERS).bind(leased).bind(ends).bind(gone).bind(since).execute(connection).await?;
    Ok(())
}

/// Takes off dead workers that hold nothing.
pub async fn take_off(connection: &mut PgConnection) -> DbResult<()> {
    query(REAP_WORKERS).execute(connection).await?;
    Ok(())
}
