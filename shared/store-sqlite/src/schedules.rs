//! Schedules. Each due time fires once: the task, the next time and the revision are one
//! transaction.

use crate::{
    SqliteStore,
    db::{self, statements},
    error::DbResult,
    intake::{self, accept},
    row,
    writer::Tx,
};
use async_trait::async_trait;
use longhaul_domain::{OwnerId, TaskId, Timestamp};
use longhaul_store::{
    Accepted, DueSchedules, FireOutcome, FireSchedule, Result, Schedule, ScheduleStore, StoreError,
};
use rusqlite::{Connection, Row, named_params};
use std::time::Duration;

statements! {
    ADD = "-- store::put_schedule
        INSERT INTO schedules (owner_id, name, agent, next_at, paused, revision, plan)
        VALUES (:owner, :name, :agent, :next_at, :paused, 1, :plan)";
    CHANGE = "-- store::put_schedule
        UPDATE schedules
        SET agent = :agent, next_at = :next_at, paused = :paused, revision = revision + 1, plan = :plan
        WHERE owner_id = :owner AND name = :name";
    ONE = "-- store::schedule
        SELECT owner_id, name, agent, plan, next_at, paused, last_at, last_task, revision
        FROM schedules WHERE owner_id = ?1 AND name = ?2";
    OF_OWNER = "-- store::schedules
        SELECT owner_id, name, agent, plan, next_at, paused, last_at, last_task, revision
        FROM schedules WHERE owner_id = ?1 ORDER BY name";
    ALL = "-- store::schedules
        SELECT owner_id, name, agent, plan, next_at, paused, last_at, last_task, revision
        FROM schedules ORDER BY owner_id, name";
    REMOVE = "-- store::delete_schedule
        DELETE FROM schedules WHERE owner_id = ?1 AND name = ?2";
    DUE = "-- store::due_schedules
        SELECT owner_id, name, agent, plan, next_at, paused, last_at, last_task, revision
        FROM schedules WHERE next_at IS NOT NULL AND paused = 0 AND next_at <= ?1 ORDER BY next_at LIMIT ?2";
    NEXT = "-- store::due_schedules
        SELECT next_at FROM schedules WHERE next_at IS NOT NULL AND paused = 0 AND next_at > ?1 ORDER BY next_at LIMIT 1";
    REVISION = "-- store::fire
        SELECT revision FROM schedules WHERE owner_id = ?1 AND name = ?2";
    GO_ON = "-- store::fire
        UPDATE schedules
        SET next_at = :next_at, last_at = coalesce(:last_at, last_at), last_task = coalesce(:last_task, last_task),
            revision = revision + 1
        WHERE owner_id = :owner AND name = :name";
}

#[async_trait]
impl ScheduleStore for SqliteStore {
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool> {
        self.writer.write(0, move |tx| put(tx, &schedule)).await
    }

    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>> {
        let name = name.to_owned();
        self.readers.read(move |conn| one(conn, owner, &name)).await
    }

    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>> {
        self.readers.read(move |conn| list(conn, owner)).await
    }

    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.writer.write(0, move |tx| delete(tx, owner, &name)).await
    }

    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules> {
        let now = self.time.now();
        self.readers.read(move |conn| due(conn, now, limit)).await
    }

    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome> {
        let message = fire.task.as_ref().map(|(_, new)| &new.accept);
        let weight = message.map_or(0, intake::weight);
        let fire = Firing::from(fire);
        self.writer.write(weight, move |tx| fire_schedule(tx, &fire)).await
    }
}

/// Creates or changes a schedule; `true`: it is new.
fn put(tx: &mut Tx<'_>, schedule: &Schedule) -> DbResult<bool> {
    let Schedule { owner, name, agent, plan, next_at, paused, .. } = schedule;
    let plan = serde_json::to_string(plan)
        .map_err(|e| StoreError::Refused(format!("the plan of schedule {name}: {e}")))?;
    let params = named_params! {
        ":owner": owner.0, ":name": name, ":agent": agent.as_str(), ":next_at": next_at.map(millis),
        ":paused": paused, ":plan": plan,
    };
    if db::run(tx.conn, CHANGE, params)? > 0 {
        return Ok(false);
    }
    db::run(tx.conn, ADD, params)?;
    Ok(true)
}

fn one(conn: &Connection, owner: OwnerId, name: &str) -> DbResult<Option<Schedule>> {
    db::one(conn, ONE, (owner.0, name), schedule)
}

fn list(conn: &Connection, owner: Option<OwnerId>) -> DbResult<Vec<Schedule>> {
    match owner {
        Some(owner) => db::all(conn, OF_OWNER, (owner.0,), schedule),
        None => db::all(conn, ALL, (), schedule),
    }
}

fn delete(tx: &mut Tx<'_>, owner: OwnerId, name: &str) -> DbResult<bool> {
    Ok(db::run(tx.conn, REMOVE, (owner.0, name))? > 0)
}

fn due(conn: &Connection, now: i64, limit: u32) -> DbResult<DueSchedules> {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    // Schedules that cannot be read must not block the others, so they are counted on top of the
    // limit.
    let mut wanted = limit.saturating_add(1);
    let mut due: Vec<Schedule> = loop {
        let sought = i64::try_from(wanted).unwrap_or(i64::MAX);
        let read = db::all(conn, DUE, (now, sought), |row| Ok(schedule(row)))?;
        let unreadable = read.iter().filter(|read| read.is_err()).count();
        let more = limit.saturating_add(1).saturating_add(unreadable);
        if read.len() < wanted || wanted >= more {
            for error in read.iter().filter_map(|read| read.as_ref().err()) {
                tracing::error!(?error, "schedule unreadable");
            }
            break read.into_iter().filter_map(std::result::Result::ok).collect();
        }
        wanted = more;
    };
    let next_in = if due.len() > limit {
        due.truncate(limit);
        Some(Duration::ZERO)
    } else {
        let next: Option<i64> = db::one(conn, NEXT, (now,), |row| Ok(row.get(0)?))?;
        next.map(|next| Duration::from_millis(u64::try_from(next - now).unwrap_or(0)))
    };
    let now = row::timestamp(now).ok_or_else(|| row::corrupt("now", "no such time"))?;
    Ok(DueSchedules { due, now, next_in })
}

/// Creates the task of a schedule and sets its next time, if its revision is unchanged.
fn fire_schedule(tx: &mut Tx<'_>, fire: &Firing) -> DbResult<FireOutcome> {
    let Firing { owner, name, revision, next_at, task } = fire;
    let there = db::one(tx.conn, REVISION, (owner.0, name), |row| Ok(row.get::<_, i64>(0)?))?;
    if there != Some(*revision) {
        return Ok(FireOutcome::Outdated);
    }
    let (mut accepted, mut last) = (None, None);
    if let Some((at, new)) = task {
        if new.key.owner != *owner {
            return Err(
                StoreError::Refused("a schedule fires for its owner only".to_owned()).into()
            );
        }
        let asked = new.key.task;
        let outcome = accept::accept_new(tx, new)?;
        last = match &outcome {
            Accepted::Created { .. } => Some((*at, asked)),
            Accepted::Duplicate { task, .. } => Some((*at, *task)),
            Accepted::KeyReused => None,
            Accepted::TaskExists => {
                return Err(StoreError::Refused("a task of this id exists".to_owned()).into());
            }
        };
        accepted = Some(outcome);
    }
    db::run(
        tx.conn,
        GO_ON,
        named_params! {
            ":owner": owner.0, ":name": name, ":next_at": next_at.map(millis),
            ":last_at": last.map(|(at, _)| millis(at)), ":last_task": last.map(|(_, task)| task.to_string()),
        },
    )?;
    Ok(FireOutcome::Now(accepted))
}

/// A schedule that fires, and the task that it creates.
struct Firing {
    owner: OwnerId,
    name: String,
    revision: i64,
    next_at: Option<Timestamp>,
    task: Option<(Timestamp, accept::NewTask)>,
}

impl From<FireSchedule> for Firing {
    fn from(fire: FireSchedule) -> Self {
        let FireSchedule { owner, name, revision, next_at, task } = fire;
        let task = task.map(|(at, new)| (at, new.into()));
        Self { owner, name, revision, next_at, task }
    }
}

fn millis(at: Timestamp) -> i64 {
    at.timestamp_millis()
}

fn schedule(row: &Row<'_>) -> DbResult<Schedule> {
    let plan: String = row.get("plan")?;
    let next_at: Option<i64> = row.get("next_at")?;
    let last_at: Option<i64> = row.get("last_at")?;
    let last_task: Option<String> = row.get("last_task")?;
    let last_task = last_task.map(|task| task.parse::<TaskId>()).transpose();
    Ok(Schedule {
        owner: OwnerId(row.get("owner_id")?),
        name: row.get("name")?,
        agent: row::agent(row)?,
        plan: serde_json::from_str(&plan).map_err(|e| row::corrupt("schedules.plan", e))?,
        next_at: next_at.and_then(row::timestamp),
        paused: row.get("paused")?,
        last: last_at
            .and_then(row::timestamp)
            .zip(last_task.map_err(|e| row::corrupt("schedules.last_task", e))?),
        revision: row.get("revision")?,
    })
}
