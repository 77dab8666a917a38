//! Finds out with one query whether there is work, and when there will be.

use crate::{
    column::column,
    error::{DbError, DbResult},
};
use longhaul_domain::Timestamp;
use longhaul_store::ReapRequest;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::time::Duration;
use uuid::Uuid;

/// Time that a worker may be without a session.
pub const SESSION_GRACE: Duration = Duration::from_secs(1);

/// Reads what is overdue and what comes next. The server's locks are read once. Claimed runs, and
/// those held back, are walked only in a full scan.
pub const REAP_SCAN: &str = "-- store::reap_scan
with time as materialized (
    select clock_timestamp() as now
), worker as materialized (
    select l.*, w.lease_ms
    from worker_life l
    cross join lateral (select w.lease_ms from workers w where w.worker_id = l.worker_id offset 0) w
), life as materialized (
    select w.*, w.lost_at is not null or w.ends_at < time.now as over,
        not w.present and w.watched and w.beat_at < w.gone_since as missed
    from worker w, time
), alive as materialized (
    select array_agg(l.worker_id) as ids, array_agg(l.ends_at) as ends, array_agg(l.over) as over,
        array_agg(coalesce(l.lease_ms, 15000)) as leases, array_agg(l.gone_since) as gone,
        array_agg(coalesce(l.missed and l.gone_since <= time.now - $2::int8 * interval '1 millisecond', false)) as missed
    from life l, time
    where l.lost_at is null
), passed as materialized (
    select case when r.worker is null then s.deadline_at else s.deadline_at + $1::int8 * interval '1 millisecond' end as at
    from (
        select d.owner_id, d.task_id, d.deadline_at
        from task_state d
        where d.deadline_at <= (select now from time)
        order by d.deadline_at
        limit 1000
    ) s
    left join lateral (
        select r.worker from runs r where r.owner_id = s.owner_id and r.task_id = s.task_id offset 0
    ) r on true
)
select time.now,
    not (
        select e.identity = server_identity() and e.since <= time.now and exists (select from server_run)
        from server_epoch e
    ) as new_server,
    (select count(*) from workers) as workers,
    exists (select from runs r where r.worker is not null) as running,
    exists (select from worker where lost_at is not null)
        or ($3 and exists (
            select from runs r
            where r.worker is not null
                and not exists (select from workers w where w.worker_id = r.worker offset 0)
        )) as lost,
    exists (
        select from life
        where not over and case
            when present then gone_since is not null or unseen
            else gone_since is null and watched
        end
    ) as changed,
    (select min(gone_since) + $2::int8 * interval '1 millisecond' from life where missed) as next_lost,
    (select min(r.cancel_at) from runs r where r.cancel_at > '-infinity') as next_cancel,
    (select min(r.queue_until) from runs r where num_nulls(r.worker) = 1 and r.queue_until > '-infinity') as next_queue,
    (select min(r.run_at) from runs r where r.worker is null and r.stage = 1 and r.run_at > '-infinity') as next_due,
    (select min(at) from passed) as next_passed,
    (select min(s.deadline_at) from task_state s where s.deadline_at > time.now) as next_deadline,
    $3 and coalesce((
        select true from runs r where r.worker is null and r.stage = 2 and r.agent > ''
        order by r.agent, r.owner_id, r.concurrency_key
        limit 1
    ), false) as held_back,
    a.ids, a.ends, a.over, a.leases, a.gone, a.missed
from time, alive a";

/// Result of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReapScan {
    /// Set if the server changed or restarted.
    pub new_server: bool,
    /// State of the workers.
    pub workers: WorkerSummary,
    /// Set if runs are held back and a full scan asks for them.
    pub held_back: bool,
    /// Time until the next event of each kind; zero if it is overdue.
    pub next: NextEvents,
    /// Workers that are not lost.
    pub alive: Vec<WorkerSighting>,
}

/// A worker as the scan found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerSighting {
    /// Worker id.
    pub worker: Uuid,
    /// End of its lease, by the database's clock.
    pub ends_at: Timestamp,
    /// Set if the lease has expired by that clock.
    pub over: bool,
    /// Length of its lease.
    pub lease: Duration,
    /// Time at which its session was found gone, by that clock.
    pub gone_since: Option<Timestamp>,
    /// Set if the session has been gone too long by that clock, without a report since.
    pub missed: bool,
}

/// State of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerSummary {
    /// Number of known workers.
    pub number: u32,
    /// Set if one of them holds a run.
    pub running: bool,
    /// Set if one is lost and not yet deleted, or left runs behind.
    pub lost: bool,
    /// Set if the session of one has gone or returned.
    pub changed: bool,
}

/// Time until the next event of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NextEvents {
    /// A worker has been without a session for too long.
    pub lost: Option<Duration>,
    /// A forced cancel.
    pub cancel: Option<Duration>,
    /// A queue timeout.
    pub queue: Option<Duration>,
    /// A run becomes due.
    pub due: Option<Duration>,
    /// A task's deadline.
    pub deadline: Option<Duration>,
}

impl ReapScan {
    /// Returns whether runs are lost or overdue.
    pub fn has_overdue_runs(&self) -> bool {
        let overdue = [self.next.cancel, self.next.queue];
        self.workers.lost || overdue.contains(&Some(Duration::ZERO))
    }

    /// Returns whether deadlines have passed.
    pub fn has_passed_deadlines(&self) -> bool {
        self.next.deadline == Some(Duration::ZERO)
    }

    /// Returns whether runs have become due.
    pub fn has_due_runs(&self) -> bool {
        self.next.due == Some(Duration::ZERO)
    }
}

/// Scans once.
pub async fn scan(
    connection: &mut PgConnection,
    reap: &ReapRequest,
    full: bool,
) -> DbResult<ReapScan> {
    let row = query(REAP_SCAN)
        .bind(millis(reap.grace))
        .bind(millis(SESSION_GRACE))
        .bind(full)
        .fetch_one(connection)
        .await?;
    ReapScan::try_from(&row)
}

fn sightings(row: &PgRow) -> DbResult<Vec<WorkerSighting>> {
    let Some(ids) = column::<Option<Vec<Uuid>>>(row, "ids")? else { return Ok(Vec::new()) };
    let ends: Vec<Timestamp> = column(row, "ends")?;
    let over: Vec<bool> = column(row, "over")?;
    let leases: Vec<i64> = column(row, "leases")?;
    let gone: Vec<Option<Timestamp>> = column(row, "gone")?;
    let missed: Vec<bool> = column(row, "missed")?;
    let leases = leases.into_iter().map(|millis| Duration::from_millis(millis.unsigned_abs()));
    let times = ends.into_iter().zip(over).zip(leases).zip(gone.into_iter().zip(missed));
    let sighting = |(worker, (((ends_at, over), lease), (gone_since, missed)))| WorkerSighting {
        worker,
        ends_at,
        over,
        lease,
        gone_since,
        missed,
    };
    Ok(ids.into_iter().zip(times).map(sighting).collect())
}

/// Converts a duration to the milliseconds that statements take.
pub fn millis(period: Duration) -> i64 {
    i64::try_from(period.as_millis()).unwrap_or(i64::MAX).min(1_000_000_000_000)
}

impl TryFrom<&PgRow> for ReapScan {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let now: Timestamp = column(row, "now")?;
        let until = |name: &'static str| {
            let at: Option<Timestamp> = column(row, name)?;
            Ok::<_, DbError>(at.map(|at| (at - now).to_std().unwrap_or_default()))
        };
        let (passed, deadline) = (until("next_passed")?, until("next_deadline")?);
        Ok(Self {
            new_server: column(row, "new_server")?,
            workers: WorkerSummary {
                number: u32::try_from(column::<i64>(row, "workers")?).unwrap_or(u32::MAX),
                running: column(row, "running")?,
                lost: column(row, "lost")?,
                changed: column(row, "changed")?,
            },
            held_back: column(row, "held_back")?,
            alive: sightings(row)?,
            next: NextEvents {
                lost: until("next_lost")?,
                cancel: until("next_cancel")?,
                queue: until("next_queue")?,
                due: until("next_due")?,
                // A passed deadline of a running task counts from the end of its grace period.
                deadline: passed.into_iter().chain(deadline).min(),
            },
        })
    }
}
