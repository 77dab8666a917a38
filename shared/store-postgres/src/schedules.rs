//! Schedules and their firing.
//!
//! A revision rises with every change. Firing commits the new task and the next time together,
//! guarded by the revision that was read, so of any number of nodes exactly one fires. A repeat
//! after a lost answer finds the task by its dedupe key.

use crate::{
    PostgresStore,
    column::{agent, column},
    db::Db,
    error::{DbError, DbResult},
    intake::{
        accept_new::{NewTask, accept_in_transaction},
        dedupe::known_messages,
    },
};
use async_trait::async_trait;
use longhaul_domain::{OwnerId, TaskId, Timestamp};
use longhaul_store::{
    Accepted, DueSchedules, FireOutcome, FireSchedule, Result, Schedule, ScheduleStore,
};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::{PgConnection, PgPool, PgRow};
use uuid::Uuid;

/// Creates or replaces a schedule and keeps what it fired last.
pub const PUT_SCHEDULE: &str = "-- store::put_schedule
insert into schedules as s (owner_id, name, agent, plan, next_at, paused, revision)
values ($1, $2, $3, $4::json, $5, $6, 1)
on conflict (owner_id, name) do update
set agent = excluded.agent, schema = default, plan = excluded.plan, next_at = excluded.next_at, paused = excluded.paused,
    revision = s.revision + 1
returning revision";

/// Reads one schedule.
pub const READ_SCHEDULE: &str = "-- store::read_schedule
select owner_id, name, agent, schema, plan::text as plan, next_at, paused, last_at, last_task, revision
from schedules
where owner_id = $1 and name = $2";

/// Lists the schedules of one owner, or all.
pub const LIST_SCHEDULES: &str = "-- store::list_schedules
select owner_id, name, agent, schema, plan::text as plan, next_at, paused, last_at, last_task, revision
from schedules
where $1::int4 is null or owner_id = $1
order by owner_id, name collate \"C\"";

/// Deletes one schedule.
pub const DELETE_SCHEDULE: &str = "-- store::delete_schedule
delete from schedules where owner_id = $1 and name = $2";

/// Finds due schedules, longest overdue first.
pub const DUE_SCHEDULES: &str = "-- store::due_schedules
select owner_id, name, agent, schema, plan::text as plan, next_at, paused, last_at, last_task, revision
from schedules
where next_at <= $1 and not paused
order by next_at
limit $2";

/// Reads the time, and when the next schedule becomes due.
pub const NEXT_SCHEDULE: &str = "-- store::next_schedule
with time as materialized (
    select date_trunc('milliseconds', clock_timestamp()) as now
)
select time.now, (select min(s.next_at) from schedules s where s.next_at > time.now and not s.paused) as next_at
from time";

/// Locks a schedule if its revision is unchanged.
pub const LOCK_SCHEDULE: &str = "-- store::lock_schedule
select revision from schedules where owner_id = $1 and name = $2 and revision = $3 for update";

/// Sets the next time, and the task that was created now, if any.
pub const SET_FIRED: &str = "-- store::set_fired
update schedules
set next_at = $3, last_at = coalesce($4, last_at), last_task = coalesce($5, last_task), revision = revision + 1
where owner_id = $1 and name = $2";

#[async_trait]
impl ScheduleStore for PostgresStore {
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool> {
        self.db.retry(|| put(&self.db.pool, &schedule)).await
    }

    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>> {
        let read = || async { read_one(&mut *self.db.reader().await?, owner, name).await };
        self.db.retry(read).await
    }

    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>> {
        let read = || async { list(&mut *self.db.reader().await?, owner).await };
        self.db.retry(read).await
    }

    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool> {
        self.db.retry(|| delete(&self.db.pool, owner, name)).await
    }

    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules> {
        let read = || async { due(&mut *self.db.reader().await?, limit).await };
        self.db.retry(read).await
    }

    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome> {
        let firing = PendingFire::from(fire);
        self.db.retry(|| fire_in_transaction(&self.db, &firing)).await
    }
}

/// Creates or replaces a schedule; returns whether it is new.
async fn put(pool: &PgPool, schedule: &Schedule) -> DbResult<bool> {
    let plan =
        serde_json::to_string(&schedule.plan).map_err(|e| DbError::Rejected(e.to_string()))?;
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

/// Reads one schedule.
async fn read_one(
    connection: &mut PgConnection,
    owner: OwnerId,
    name: &str,
) -> DbResult<Option<Schedule>> {
    let row = query(READ_SCHEDULE).bind(owner.0).bind(name).fetch_optional(connection).await?;
    row.map(|row| ScheduleRow::try_from(&row).map(|row| row.0)).transpose()
}

/// Lists the schedules of one owner, or all.
async fn list(connection: &mut PgConnection, owner: Option<OwnerId>) -> DbResult<Vec<Schedule>> {
    let rows = query(LIST_SCHEDULES).bind(owner.map(|owner| owner.0)).fetch_all(connection).await?;
    rows.iter().map(|row| ScheduleRow::try_from(row).map(|row| row.0)).collect()
}

/// Deletes a schedule; returns whether it existed.
async fn delete(pool: &PgPool, owner: OwnerId, name: &str) -> DbResult<bool> {
    Ok(query(DELETE_SCHEDULE).bind(owner.0).bind(name).execute(pool).await?.rows_affected() > 0)
}

/// Reads due schedules. Unreadable ones are skipped and never block the others.
async fn due(connection: &mut PgConnection, limit: u32) -> DbResult<DueSchedules> {
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
                tracing::error!(?failure, "unreadable schedule skipped");
            }
            break read.into_iter().filter_map(|read| Some(read.ok()?.0)).collect();
        }
        // Read again with room for the unreadable ones, so that they hide no due schedule.
        wanted = more;
    };
    let next_in = next.map(|next| (next - now).to_std().unwrap_or_default());
    Ok(DueSchedules { due, now, next_in })
}

/// A request to fire, with its task encoded for the database.
struct PendingFire {
    /// The request without the task.
    fire: FireSchedule,
    /// Scheduled time and the new task.
    task: Option<(Timestamp, NewTask)>,
}

impl From<FireSchedule> for PendingFire {
    fn from(mut fire: FireSchedule) -> Self {
        let task = fire.task.take().map(|(at, new)| (at, NewTask::from(new)));
        Self { fire, task }
    }
}

/// Fires a schedule: creates the task and sets the next time.
async fn fire_in_transaction(
    db: &Db,
    PendingFire { fire, task }: &PendingFire,
) -> DbResult<FireOutcome> {
    let mut transaction = db.begin().await?;
    let lock = query(LOCK_SCHEDULE).bind(fire.owner.0).bind(&fire.name).bind(fire.revision);
    // The revision has changed: either another node fired, or an earlier attempt of this call.
    if lock.fetch_optional(&mut *transaction).await?.is_none() {
        let Some((_, new)) = task else { return Ok(FireOutcome::Outdated) };
        let wanted = [(new.accept.key.owner, new.accept.accept.dedupe)];
        let known = known_messages(&mut transaction, &wanted).await?.into_values().next();
        // Task ids are unique to one call, so an existing task with this id was created by an
        // earlier attempt of the same call.
        return Ok(match known.filter(|known| known.task == new.accept.key.task) {
            Some(known) => {
                FireOutcome::Now(Some(Accepted::Created { at: known.created_at, seq: known.seq }))
            }
            None => FireOutcome::Outdated,
        });
    }
    let accepted = match task {
        Some((_, new)) => Some(accept_in_transaction(&mut transaction, new).await?),
        None => None,
    };
    let made = task.as_ref().zip(accepted.as_ref()).map(|((at, new), accepted)| {
        let task = match accepted {
            Accepted::Duplicate { task, .. } => *task,
            Accepted::Created { .. } | Accepted::KeyReused | Accepted::TaskExists => {
                new.accept.key.task
            }
        };
        (*at, task)
    });
    // A key with other content created no task, so there is none to record.
    let made =
        made.filter(|_| !matches!(accepted, Some(Accepted::KeyReused | Accepted::TaskExists)));
    query(SET_FIRED)
        .bind(fire.owner.0)
        .bind(&fire.name)
        .bind(fire.next_at)
        .bind(made.map(|(at, _)| at))
        .bind(made.map(|(_, task)| task.uuid()))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    if let (Some((_, new)), Some(Accepted::Created { .. })) = (task, &accepted) {
        // After the commit: readers must find the task when they hear of it.
        db.signals.publish_created([new.accept.key]);
    }
    Ok(FireOutcome::Now(accepted))
}

/// A schedule decoded from a row.
struct ScheduleRow(Schedule);

impl TryFrom<&PgRow> for ScheduleRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let schema: i16 = column(row, "schema")?;
        if schema != 1 {
            return Err(DbError::corrupt("schedules.schema", format!("{schema} is not known")));
        }
        let plan = serde_json::from_str(column(row, "plan")?);
        let last_at: Option<Timestamp> = column(row, "last_at")?;
        let last_task: Option<Uuid> = column(row, "last_task")?;
        Ok(Self(Schedule {
            owner: OwnerId(column(row, "owner_id")?),
            name: column(row, "name")?,
            agent: agent(row)?,
            plan: plan.map_err(|error| DbError::corrupt("schedules.plan", error))?,
            next_at: column(row, "next_at")?,
            paused: column(row, "paused")?,
            last: last_at.zip(last_task.map(TaskId::new)),
            revision: column(row, "revision")?,
        }))
    }
}
