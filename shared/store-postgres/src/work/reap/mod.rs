//! Does overdue work: re-offers the runs of lost workers, makes due runs ready, and ends tasks that
//! were not canceled, claimed or finished in time.
//!
//! Any number of reapers may run at once: each skips what another has locked, or finds it done. One
//! scan tells whether there is work. Whatever assigns a log sequence is one transaction whose
//! commit waits for the disk; after a crash before that, the next scan finds the same work.

pub mod decide;
pub mod held_back;
pub mod interval;
pub mod maintenance;
pub mod overdue;
pub mod scan;
pub mod watch;
pub mod workers;

use crate::{
    column::{agent, key},
    db::Db,
    error::DbResult,
    intake::dedupe::PRUNE_DEDUPE_KEYS,
};
use interval::next_scan_in;
use longhaul_runtime::IdSource;
use longhaul_store::{ReapOutcome, ReapRequest, Reaped};
use scan::{SESSION_GRACE, scan};
use sqlx_core::{query::query, query_scalar::query_scalar};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Makes due runs ready. It assigns no log sequence, so the commit need not wait for the disk.
pub const PROMOTE_DUE_RUNS: &str = "-- store::promote_due_runs
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

/// Table pages per pruning pass: about ten thousand dedupe keys.
const PRUNE_PAGES: i64 = 500;

/// Longest time for one pruning pass.
const PRUNE_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of a pass.
pub struct ReapPass {
    /// Work that was done, and the time of the next pass.
    pub outcome: ReapOutcome,
    /// Set if this pass made a full scan, as happens from time to time.
    pub full: bool,
}

/// Runs one pass.
pub async fn reap(db: &Db, reap: &ReapRequest) -> DbResult<ReapPass> {
    let full = db.maintenance.full_scan_due();
    let mut scan = scan(&mut *db.relaxed.acquire().await?, reap, full).await?;
    if scan.new_server {
        workers::record_server_start(db).await?;
        // The new server epoch gives every worker a full lease, so scan again.
        scan = scan::scan(&mut *db.relaxed.acquire().await?, reap, false).await?;
    }
    if scan.workers.changed {
        workers::mark_sessions(db).await?;
        // Scan again so that the watch starts timing what was just marked.
        let alive = scan::scan(&mut *db.relaxed.acquire().await?, reap, false).await?.alive;
        scan.alive = alive;
        scan.next.lost = Some(scan.next.lost.map_or(SESSION_GRACE, |lost| lost.min(SESSION_GRACE)));
    }
    // The scan judges by the database clock; a worker is lost only if this process agrees.
    let lost = db.watch.observe(&scan.alive, Instant::now());
    let mut done = Vec::new();
    if scan.has_overdue_runs() || !lost.is_empty() {
        done.extend(overdue::reap_runs(db, reap, &lost).await?);
    }
    if scan.has_passed_deadlines() {
        let ended = overdue::fail_past_deadline(db, reap, remaining(reap, &done)).await;
        done.extend(ignore_error_after_work(ended, &done)?);
    }
    if scan.has_due_runs() {
        done.extend(ignore_error_after_work(promote(db, remaining(reap, &done)).await, &done)?);
    }
    if scan.held_back {
        done.extend(ignore_error_after_work(held_back::unblock_idle_keys(db).await, &done)?);
    }
    let mut again_in = next_scan_in(scan.workers, &scan.next, random_fraction(&*db.ids));
    if remaining(reap, &done) == 0 {
        again_in = again_in.min(interval::MIN_SCAN_INTERVAL);
    }
    Ok(ReapPass { outcome: ReapOutcome { done, again_in }, full })
}

/// Discards a failure if other work was done before: that work must be reported, and the next pass
/// retries the rest.
fn ignore_error_after_work(more: DbResult<Vec<Reaped>>, done: &[Reaped]) -> DbResult<Vec<Reaped>> {
    match more {
        Err(failure) if !done.is_empty() => {
            tracing::debug!(?failure, "part of a reap pass failed");
            Ok(Vec::new())
        }
        more => more,
    }
}

/// Returns a random number from 0 to 1.
fn random_fraction(ids: &dyn IdSource) -> f64 {
    let random = u32::try_from(ids.random_u128() >> 96).unwrap_or_default();
    f64::from(random) / f64::from(u32::MAX)
}

/// Number of tasks that the pass may still process.
const fn remaining(reap: &ReapRequest, done: &[Reaped]) -> usize {
    (reap.limit as usize).saturating_sub(done.len())
}

async fn promote(db: &Db, limit: usize) -> DbResult<Vec<Reaped>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query(PROMOTE_DUE_RUNS).bind(limit).fetch_all(&db.relaxed).await?;
    rows.iter().map(|row| Ok(Reaped::Due { key: key(row)?, agent: agent(row)? })).collect()
}

/// Deletes expired dedupe keys from some pages of their table, if it is time. Expired keys are
/// ignored whether they exist or not, so a failure is left to the next pass.
pub async fn prune(db: Arc<Db>) {
    let Some(from) = db.maintenance.prune_from() else { return };
    let pruned = query_scalar::<_, i64>(PRUNE_DEDUPE_KEYS).bind(from).bind(from + PRUNE_PAGES);
    match timeout(PRUNE_TIMEOUT, pruned.fetch_one(&db.relaxed)).await {
        Ok(Ok(pages)) => db.maintenance.record_pruned(from + PRUNE_PAGES, pages),
        Ok(Err(error)) => tracing::debug!(%error, "dedupe key pruning failed"),
        Err(_) => tracing::debug!("dedupe key pruning timed out"),
    }
}
