//! Schedules: what they are, and which are due. Their revision rises with each change, so that whoever fires one knows whether
//! it is still what was read.

pub mod fire;

use crate::{
    column::{agent, column},
    failure::{DbResult, Failure},
};
use longhaul_domain::{OwnerId, TaskId, Timestamp};
use longhaul_store::{DueSchedules, Schedule};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::{PgConnection, PgPool, PgRow};
use uuid::Uuid;

/// Creates a schedule or changes it; what it made last stays.
pub const PUT_SCHEDULE: &str = "-- store::put_schedule
insert into schedules as s (owner_id, name, agent, plan, next_at, paused, revision)
values ($1, $2, $3, $4::json, $5, $6, 1)
on conflict (owner_id, name) do update
set agent = excluded.agent, schema = default, plan = excluded.plan, next_at = excluded.next_at, paused = excluded.paused,
    revision = s.revision + 1
returning revision";

/// One schedule.
pub const SCHEDULE: &str = "-- store::schedule
select owner_id, name, agent, schema, plan::text as plan, next_at, paused, last_at, last_task, revision
from schedules
where owner_id = $1 and name = $2";

/// Schedules of an owner or of all.
pub const SCHEDULES: &str = "-- store::schedules
select owner_id, name, agent, schema, plan::text as plan, next_at, paused, last_at, last_task, revision
from schedules
where $1::int4 is null or owner_id = $1
order by owner_id, name collate \"C\"";

/// Deletes one.
pub const DELETE_SCHEDULE: &str = "-- store::delete_schedule
delete from schedules where owner_id = $1 and name = $2";

/// Those that are due, the longest overdue first.
pub const DUE_SCHEDULES: &str = "-- store::due_schedules
select owner_id, name, agent, schema, plan::text as plan, next_at, paused, last_at, last_task, revision
from schedules
where next_at <= $1 and not paused
order by next_at
limit $2";

/// The time, and when the next one that is not due becomes so.
pub const NEXT_SCHEDULE: &str = "-- store::next_schedule
with time as materialized (
    select date_trunc('milliseconds', clock_timestamp()) as now
)
select time.now, (select min(s.next_at) from schedules s where s.next_at > time.now and not s.paused) as next_at
from time";

/// Creates or changes; whether there was none.
pub async fn put(pool: &PgPool, schedule: &Schedule) -> DbResult<bool> {
    let plan =
        serde_json::to_string(&schedule.plan).map_err(|e| Failure::Refused(e.to_string()))?;
    let revision: i64 = query_scalar(PUT_SCHEDULE)
        .bind(schedule.owner.0)
        .bind(&schedule.name)
        .bind(schedule.agent.as_str())
        .bind(plan)
        .bind(schedule.next_at)
        .bind(schedule.paused)
        .fetch_one(pool)
        .await?;
    Ok(revision == 1)
}

/// Reads one.
pub async fn one(
    connection: &mut PgConnection,
    owner: OwnerId,
    name: &str,
) -> DbResult<Option<Schedule>> {
    let row = query(SCHEDULE).bind(owner.0).bind(name).fetch_optional(connection).await?;
    row.map(|row| ScheduleRow::try_from(&row).map(|row| row.0)).transpose()
}

/// Reads those of an owner or of all.
pub async fn list(
    connection: &mut PgConnection,
    owner: Option<OwnerId>,
) -> DbResult<Vec<Schedule>> {
    let rows = query(SCHEDULES).bind(owner.map(|owner| owner.0)).fetch_all(connection).await?;
    rows.iter().map(|row| ScheduleRow::try_from(row).map(|row| row.0)).collect()
}

/// Deletes one.
pub async fn delete(pool: &PgPool, owner: OwnerId, name: &str) -> DbResult<bool> {
    Ok(query(DELETE_SCHEDULE).bind(owner.0).bind(name).execute(pool).await?.rows_affected() > 0)
}

/// What is due. However many cannot be read, they hold up none of the others.
pub async fn due(connection: &mut PgConnection, limit: u32) -> DbResult<DueSchedules> {
    let row = query(NEXT_SCHEDULE).fetch_one(&mut *connection).await?;
    let now: Timestamp = column(&row, "now")?;
    let next: Option<Timestamp> = column(&row, "next_at")?;
    let mut wanted = i64::from(limit);
    let due = loop {
        let due = query(DUE_SCHEDULES).bind(now).bind(wanted);
        let rows = due.fetch_all(&mut *connection).await?;
        let read: Vec<_> = rows.iter().map(ScheduleRow::try_from).collect();
        let unreadable = read.iter().filter(|read| read.is_err()).count();
        let all = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let more = i64::from(limit).saturating_add(i64::try_from(unreadable).unwrap_or(i64::MAX));
        if all < wanted || wanted >= more {
            for failure in read.iter().filter_map(|read| read.as_ref().err()) {
                tracing::error!(?failure, "schedule cannot be read");
            }
            break read.into_iter().filter_map(|read| Some(read.ok()?.0)).collect();
        }
        wanted = more;
    };
    let next_in = next.map(|next| (next - now).to_std().unwrap_or_default());
    Ok(DueSchedules { due, now, next_in })
}

/// A schedule of a row.
struct ScheduleRow(Schedule);

impl TryFrom<&PgRow> for ScheduleRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let schema: i16 = column(row, "schema")?;
        if schema != 1 {
            return Err(Failure::corrupt("schedules.schema", format!("{schema} is not known")));
        }
        let plan = serde_json::from_str(column(row, "plan")?);
        let last_at: Option<Timestamp> = column(row, "last_at")?;
        let last_task: Option<Uuid> = column(row, "last_task")?;
        Ok(Self(Schedule {
            owner: OwnerId(column(row, "owner_id")?),
            name: column(row, "name")?,
            agent: agent(row)?,
            plan: plan.map_err(|error| Failure::corrupt("schedules.plan", error))?,
            next_at: column(row, "next_at")?,
            paused: column(row, "paused")?,
            last: last_at.zip(last_task.map(TaskId::new)),
            revision: column(row, "revision")?,
        }))
    }
}
