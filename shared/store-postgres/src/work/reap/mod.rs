//! Doing what is overdue: offering again what lost workers held, making runnable what has become due, and ending what was not
//! canceled, started or done in time.
//!
//! Any number of reapers may run at once: what one works on the others skip, or find done. One query says whether there is
//! anything to do. Everything that assigns a place in a log is one transaction whose commit waits for the disk; when the process
//! dies before it, the next look finds the same.

pub mod again;
pub mod decide;
pub mod held_back;
pub mod look;
pub mod overdue;
pub mod rounds;
pub mod watch;
pub mod workers;

use crate::{
    column::{agent, key},
    db::Db,
    failure::DbResult,
    intake::known::PRUNE_KEYS,
};
use again::again_in;
use longhaul_runtime::IdSource;
use longhaul_store::{ReapOutcome, ReapRequest, Reaped};
use look::{GRACE, look};
use sqlx_core::{query::query, query_scalar::query_scalar};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Makes runs ready whose time has come. It assigns no place in a log, so it need not wait for the disk.
pub const PROMOTE: &str = "-- store::promote
with due as materialized (
    select r.owner_id, r.task_id
    from runs r
    where r.worker is null and r.stage = 1 and r.run_at <= (select clock_timestamp())
    order by r.run_at
    limit $1
    for update of r skip locked
)
update runs r
set stage = 0
from due
where r.owner_id = any(array[due.owner_id]) and r.task_id = due.task_id
returning r.owner_id, r.task_id, r.agent";

/// On how many pages old dedupe keys are looked for at a time: some ten thousand keys.
const PRUNED: i64 = 500;

/// How long that may take.
const PRUNING: Duration = Duration::from_secs(5);

/// What a round came to.
pub struct Round {
    /// What was done, and when to look again.
    pub reaping: ReapOutcome,
    /// Whether everything was looked at, as happens from time to time.
    pub thorough: bool,
}

/// Reaps.
pub async fn reap(db: &Db, reap: &ReapRequest) -> DbResult<Round> {
    let thorough = db.rounds.thorough();
    let mut look = look(&mut *db.relaxed.acquire().await?, reap, thorough).await?;
    if look.new_server {
        workers::note_server(db).await?;
        // Who seemed dead has a full lease from now on.
        look = look::look(&mut *db.relaxed.acquire().await?, reap, false).await?;
    }
    if look.workers.changed {
        workers::mark(db).await?;
        // What was marked is seen now, so that the time for which it lasts begins.
        let alive = look::look(&mut *db.relaxed.acquire().await?, reap, false).await?.alive;
        look.alive = alive;
        look.until.lost = Some(look.until.lost.map_or(GRACE, |lost| lost.min(GRACE)));
    }
    let lost = db.watch.note(&look.alive, Instant::now());
    let mut done = Vec::new();
    if look.finds_runs() || !lost.is_empty() {
        done.extend(overdue::runs(db, reap, &lost).await?);
    }
    if look.finds_deadlines() {
        let ended = overdue::deadlines(db, reap, left(reap, &done)).await;
        done.extend(or_nothing(ended, &done)?);
    }
    if look.finds_due() {
        done.extend(or_nothing(promote(db, left(reap, &done)).await, &done)?);
    }
    if look.held_back {
        done.extend(or_nothing(held_back::free(db).await, &done)?);
    }
    let mut again_in = again_in(look.workers, &look.until, chance(&*db.ids));
    if left(reap, &done) == 0 {
        again_in = again_in.min(again::SOON);
    }
    Ok(Round { reaping: ReapOutcome { done, again_in }, thorough })
}

/// What was done is told, even when something after it fails; the next round does that.
fn or_nothing(more: DbResult<Vec<Reaped>>, done: &[Reaped]) -> DbResult<Vec<Reaped>> {
    match more {
        Err(failure) if !done.is_empty() => {
            tracing::debug!(?failure, "a part of a round failed");
            Ok(Vec::new())
        }
        more => more,
    }
}

/// From 0 to 1.
fn chance(ids: &dyn IdSource) -> f64 {
    let random = u32::try_from(ids.random_u128() >> 96).unwrap_or_default();
    f64::from(random) / f64::from(u32::MAX)
}

/// How many tasks may still be dealt with.
const fn left(reap: &ReapRequest, done: &[Reaped]) -> usize {
    (reap.limit as usize).saturating_sub(done.len())
}

async fn promote(db: &Db, limit: usize) -> DbResult<Vec<Reaped>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query(PROMOTE).bind(limit).fetch_all(&db.relaxed).await?;
    rows.iter().map(|row| Ok(Reaped::Due { key: key(row)?, agent: agent(row)? })).collect()
}

/// Deletes dedupe keys that are too old to count from some pages of their table, if it is time to. They do not count, whether
/// they are there or not, so another time may have more luck.
pub async fn prune(db: Arc<Db>) {
    let Some(from) = db.rounds.prune_from() else { return };
    let pruned = query_scalar::<_, i64>(PRUNE_KEYS).bind(from).bind(from + PRUNED);
    match timeout(PRUNING, pruned.fetch_one(&db.relaxed)).await {
        Ok(Ok(pages)) => db.rounds.pruned(from + PRUNED, pages),
        Ok(Err(error)) => tracing::debug!(%error, "old dedupe keys could not be deleted"),
        Err(_) => tracing::debug!("old dedupe keys could not be deleted in time"),
    }
}
