//! The look at what is due, which is by far the most frequent thing a reaper does: it reads, and does not disturb the
//! writer when there is nothing to do.

use crate::{
    concurrency::{self, HeldKey},
    db::{self, statements},
    error::Result,
    leases::{Leases, Standing},
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

/// How long until the next look while there is something to wait for, and at most.
const BUSY: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_secs(1);
/// How long until the next look at least.
const SOON: Duration = Duration::from_millis(20);
/// How often keys are looked at for which runs wait, in milliseconds, and how many.
const STRAYS_EVERY: i64 = 5_000;
const STRAYS: usize = 100;

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub struct Watch {
    strays_at: i64,
    place: HeldKey,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Found {
    /// There is something to do whose traces are entries in logs.
    pub overdue: bool,
    /// Runs have become due, or old message keys can be forgotten.
    pub due: bool,
    /// Keys for which runs wait though nobody uses them.
    pub strays: Vec<HeldKey>,
    /// When to look again.
    pub again_in: Duration,
}

impl Found {
    pub const fn nothing(&self) -> bool {
        !self.overdue && !self.due && self.strays.is_empty()
    }
}

/// Looks what is due at a time; `grace` (milliseconds) is how long a worker may go on after a deadline.
pub fn look(
    conn: &Connection,
    leases: &Leases,
    watch: &mut Watch,
    now: i64,
    grace: i64,
) -> Result<Found> {
    let mut found = Found::default();
    let mut next: Option<i64> = None;
    let mut later = |at: i64| next = Some(next.map_or(at, |next| next.min(at)));
    let mut busy = false;
    for worker in workers(conn)? {
        busy = true;
        match leases.look(worker, now) {
            Standing::Held(until) => later(until),
            Standing::Lost => found.overdue = true,
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
        found.due |= oldest_key.is_some_and(|at| super::dedupe::is_old(at, now));
        Ok(())
    })?;
    // Later than now: the clock was set back since.
    if watch.strays_at > now || now.saturating_sub(watch.strays_at) >= STRAYS_EVERY {
        watch.strays_at = now;
        found.strays = concurrency::strays(conn, &mut watch.place, STRAYS)?;
    }
    let wait = next.map_or(IDLE, |at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
    found.again_in = wait.clamp(SOON, if busy { BUSY } else { IDLE });
    Ok(found)
}

/// Every worker that is known.
pub fn workers(conn: &Connection) -> Result<Vec<WorkerId>> {
    db::all(conn, WORKERS, (), |row| row::parsed(row, "worker"))
}

/// When to look again after a look that did as much as it was allowed to.
pub const fn at_once() -> Duration {
    SOON
}
