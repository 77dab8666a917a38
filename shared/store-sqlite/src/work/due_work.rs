//! The search for due work, by far the most frequent operation of a reaper. It only reads, so it
//! does not occupy the writer when nothing is due.

use crate::{
    db::{self, statements},
    error::DbResult,
    intake::dedupe,
    leases::{LeaseStatus, Leases},
    queue::{self, ConcurrencyKey},
    row,
};
use longhaul_domain::WorkerId;
use rusqlite::{Connection, named_params};
use std::time::Duration;

statements! {
    TIMES = "-- store::reap
        SELECT (SELECT cancel_at FROM runs WHERE cancel_at IS NOT NULL ORDER BY cancel_at LIMIT 1) AS cancel_at,
               (SELECT queue_until FROM runs WHERE queue_until IS NOT NULL ORDER BY queue_until LIMIT 1) AS queue_until,
               (SELECT run_at FROM runs WHERE worker IS NULL AND stage = 1 AND run_at >= 0 ORDER BY run_at LIMIT 1) AS run_at,
               (SELECT deadline_at FROM task_state WHERE deadline_at > :now ORDER BY deadline_at LIMIT 1) AS deadline_at,
               (SELECT at FROM message_keys WHERE at >= 0 ORDER BY at LIMIT 1) AS key_at,
               EXISTS (SELECT 1 FROM task_state s
                       WHERE s.deadline_at <= :now
                         AND (s.deadline_at <= :by_force
                              OR NOT EXISTS (SELECT 1 FROM runs r
                                             WHERE r.owner_id = s.owner_id AND r.task = s.task AND r.worker IS NOT NULL)))
                   AS passed";
    WORKERS = "-- store::reap
        SELECT worker FROM workers";
}

/// Maximum time until the next search, while something is pending and otherwise.
const MAX_WAIT_BUSY: Duration = Duration::from_millis(300);
const MAX_WAIT_IDLE: Duration = Duration::from_secs(1);
/// Minimum time until the next search.
const MIN_WAIT: Duration = Duration::from_millis(20);
/// Interval between scans for orphaned concurrency keys, in milliseconds, and the number of keys
/// per scan.
const ORPHAN_SCAN_INTERVAL_MS: i64 = 5_000;
const MAX_KEYS_PER_ORPHAN_SCAN: usize = 100;

/// Position of the scan for orphaned keys, kept between searches.
#[derive(Debug, Default)]
pub struct OrphanScan {
    scanned_at: i64,
    place: ConcurrencyKey,
}

/// Work that is due.
#[derive(Debug, Default)]
pub struct DueWork {
    /// Something is due that is recorded in logs.
    pub overdue: bool,
    /// Runs have become due, or old deduplication keys have expired.
    pub due: bool,
    /// Concurrency keys for which runs wait although no run holds them.
    pub orphans: Vec<ConcurrencyKey>,
    /// Time until the next search.
    pub again_in: Duration,
}

impl DueWork {
    pub const fn is_empty(&self) -> bool {
        !self.overdue && !self.due && self.orphans.is_empty()
    }
}

/// Searches for work that is due at `now`. `grace` (milliseconds) is how long a worker may run past
/// a deadline.
pub fn search(
    conn: &Connection,
    leases: &Leases,
    orphan_scan: &mut OrphanScan,
    now: i64,
    grace: i64,
) -> DbResult<DueWork> {
    let mut found = DueWork::default();
    let mut next: Option<i64> = None;
    let mut later = |at: i64| next = Some(next.map_or(at, |next| next.min(at)));
    let mut busy = false;
    for worker in workers(conn)? {
        busy = true;
        match leases.check(worker, now) {
            LeaseStatus::Held(until) => later(until),
            LeaseStatus::Lost => found.overdue = true,
        }
    }
    let params = named_params! { ":now": now, ":by_force": now.saturating_sub(grace) };
    let mut statement = conn.prepare_cached(TIMES)?;
    statement.query_one(params, |row| {
        for column in ["cancel_at", "queue_until", "deadline_at", "run_at"] {
            let Some(at) = row.get::<_, Option<i64>>(column)? else { continue };
            busy = true;
            match (at <= now, column) {
                (true, "run_at") => found.due = true,
                (true, _) => found.overdue = true,
                (false, _) => later(at),
            }
        }
        found.overdue |= row.get::<_, bool>("passed")?;
        let oldest_key: Option<i64> = row.get("key_at")?;
        found.due |= oldest_key.is_some_and(|at| dedupe::is_expired(at, now));
        Ok(())
    })?;
    // A time in the future: the clock has been set back since.
    if orphan_scan.scanned_at > now
        || now.saturating_sub(orphan_scan.scanned_at) >= ORPHAN_SCAN_INTERVAL_MS
    {
        orphan_scan.scanned_at = now;
        found.orphans =
            queue::orphaned_keys(conn, &mut orphan_scan.place, MAX_KEYS_PER_ORPHAN_SCAN)?;
    }
    let wait = next
        .map_or(MAX_WAIT_IDLE, |at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
    found.again_in = wait.clamp(MIN_WAIT, if busy { MAX_WAIT_BUSY } else { MAX_WAIT_IDLE });
    Ok(found)
}

/// Lists all known workers.
pub fn workers(conn: &Connection) -> DbResult<Vec<WorkerId>> {
    db::all(conn, WORKERS, (), |row| row::parsed(row, "worker"))
}

/// Time until the next search after a reap that reached its limit.
pub const fn min_wait() -> Duration {
    MIN_WAIT
}
