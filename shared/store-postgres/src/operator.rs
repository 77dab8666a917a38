//! Operator reads and changes: dead letters, queues and workers. None of these statements runs
//! once per task.
//!
//! A redrive commits the new task and the mark on the dead letter together. It locks the dead
//! letter first, so of two concurrent redrives one wins. A repeat after a lost answer finds the
//! mark or the new task's dedupe key.

use crate::{
    PostgresStore,
    column::{agent, column, context, key},
    db::Db,
    error::{DbError, DbResult},
    intake::accept_new::{NewTask, accept_in_transaction},
};
use async_trait::async_trait;
use longhaul_domain::{AgentName, FailureKind, TaskId, TaskKey, Timestamp, WorkerId};
use longhaul_store::{
    Accepted, DeadLetter, DeadLetterQuery, DeadLetterResolution, OperatorStore, QueueRecord,
    Redrive, RedriveOutcome, Result, WorkerRecord,
};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgPool, PgRow};
use std::time::Duration;
use uuid::Uuid;

/// Lists a page of dead letters, latest first.
pub const LIST_DEAD_LETTERS: &str = "-- store::list_dead_letters
select d.owner_id, d.task_id, d.agent, d.at, d.because, d.cause, d.attempts, d.redriven_as, d.dismissed, t.context_id,
    o.name as owner_name
from dead_letters d
cross join lateral (
    select t.context_id from tasks t where t.owner_id = d.owner_id and t.task_id = d.task_id offset 0
) t
cross join lateral (select o.name from owners o where o.owner_id = d.owner_id offset 0) o
where (d.at, d.task_id) < ($1, $2) and d.at >= $3 and d.at < $4
    and ($5::text is null or d.agent = $5) and ($6::int2 is null or d.because = $6)
    and ($7::text is null or strpos(lower(d.cause), lower($7)) > 0)
    and ($8 or (d.redriven_as is null and not d.dismissed))
order by d.at desc, d.task_id desc
limit $9";

/// Lists a page of one owner's dead letters.
pub const LIST_DEAD_LETTERS_OF_OWNER: &str = "-- store::list_dead_letters_of_owner
select d.owner_id, d.task_id, d.agent, d.at, d.because, d.cause, d.attempts, d.redriven_as, d.dismissed, t.context_id,
    o.name as owner_name
from dead_letters d
cross join lateral (
    select t.context_id from tasks t where t.owner_id = d.owner_id and t.task_id = d.task_id offset 0
) t
cross join lateral (select o.name from owners o where o.owner_id = d.owner_id offset 0) o
where d.owner_id = $10 and (d.at, d.task_id) < ($1, $2) and d.at >= $3 and d.at < $4
    and ($5::text is null or d.agent = $5) and ($6::int2 is null or d.because = $6)
    and ($7::text is null or strpos(lower(d.cause), lower($7)) > 0)
    and ($8 or (d.redriven_as is null and not d.dismissed))
order by d.at desc, d.task_id desc
limit $9";

/// Reads one dead letter.
pub const READ_DEAD_LETTER: &str = "-- store::read_dead_letter
select d.owner_id, d.task_id, d.agent, d.at, d.because, d.cause, d.attempts, d.redriven_as, d.dismissed, t.context_id,
    o.name as owner_name
from dead_letters d
cross join lateral (
    select t.context_id from tasks t where t.owner_id = d.owner_id and t.task_id = d.task_id offset 0
) t
cross join lateral (select o.name from owners o where o.owner_id = d.owner_id offset 0) o
where d.owner_id = $1 and d.task_id = $2";

/// Dismisses an open dead letter.
pub const DISMISS_DEAD_LETTER: &str = "-- store::dismiss_dead_letter
update dead_letters set dismissed = true
where owner_id = $1 and task_id = $2 and redriven_as is null and not dismissed";

/// Locks a dead letter.
pub const LOCK_DEAD_LETTER: &str = "-- store::lock_dead_letter
select redriven_as, dismissed from dead_letters where owner_id = $1 and task_id = $2 for update";

/// Records the task that replaces a dead one.
pub const MARK_REDRIVEN: &str = "-- store::mark_redriven
update dead_letters set redriven_as = $3 where owner_id = $1 and task_id = $2";

/// Counts waiting and running runs for every agent that is registered or has runs.
pub const LIST_QUEUES: &str = "-- store::list_queues
with counted as (
    select r.agent,
        count(*) filter (where r.worker is null and r.stage = 0) as ready,
        count(*) filter (where r.worker is null and r.stage = 1) as scheduled,
        count(*) filter (where r.worker is null and r.stage = 2) as held_back,
        count(*) filter (where r.worker is not null) as running,
        min(r.run_at) filter (where r.worker is null and r.stage = 0) as oldest
    from runs r
    group by r.agent
)
select coalesce(a.name, c.agent) as agent, coalesce(c.ready, 0) as ready, coalesce(c.scheduled, 0) as scheduled,
    coalesce(c.held_back, 0) as held_back, coalesce(c.running, 0) as running,
    greatest(0, extract(epoch from clock_timestamp() - c.oldest) * 1000)::int8 as oldest_ms, c.oldest is null as empty
from agents a
full join counted c on c.agent = a.name
order by coalesce(a.name, c.agent) collate \"C\"";

/// Lists workers with the number of runs that they hold.
pub const LIST_WORKERS: &str = "-- store::list_workers
select w.worker_id, w.name, w.agents, w.lease_until, (select count(*) from runs r where r.worker = w.worker_id) as running
from workers w
order by w.registered_at, w.worker_id";

#[async_trait]
impl OperatorStore for PostgresStore {
    async fn list_dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        let read = || async { list_dead_letters(&mut *self.db.reader().await?, &query).await };
        self.db.retry(read).await
    }

    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>> {
        let read = || async { read_dead_letter(&mut *self.db.reader().await?, key).await };
        self.db.retry(read).await
    }

    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome> {
        let Redrive { dead, new } = redrive;
        let new = NewTask::from(new);
        self.db.retry(|| redrive_in_transaction(&self.db, dead, &new)).await
    }

    async fn dismiss(&self, key: TaskKey) -> Result<bool> {
        self.db.retry(|| dismiss(&self.db.pool, key)).await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>> {
        let read = || async { list_queues(&mut *self.db.reader().await?).await };
        self.db.retry(read).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        let read = || async { list_workers(&mut *self.db.reader().await?).await };
        self.db.retry(read).await
    }
}

/// Lists dead letters.
async fn list_dead_letters(
    connection: &mut PgConnection,
    request: &DeadLetterQuery,
) -> DbResult<Vec<DeadLetter>> {
    // The first page starts behind every position: the end of the year 9999.
    let end = Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let (at, task) = request.after.map_or((end, Uuid::max()), |(at, task)| (at, task.uuid()));
    let statement =
        if request.owner.is_some() { LIST_DEAD_LETTERS_OF_OWNER } else { LIST_DEAD_LETTERS };
    let mut query = query(statement)
        .bind(at)
        .bind(task)
        .bind(request.from.unwrap_or(Timestamp::UNIX_EPOCH))
        .bind(request.before.unwrap_or(end))
        .bind(request.agent.as_ref().map(AgentName::as_str))
        .bind(request.because.map(FailureKind::number))
        .bind(request.cause_contains.as_deref())
        .bind(request.handled)
        .bind(i64::from(request.limit.clamp(1, 1_000)));
    if let Some(owner) = request.owner {
        query = query.bind(owner.0);
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| DeadLetterRow::try_from(row).map(|row| row.0)).collect()
}

/// Reads one dead letter.
async fn read_dead_letter(
    connection: &mut PgConnection,
    key: TaskKey,
) -> DbResult<Option<DeadLetter>> {
    let query = query(READ_DEAD_LETTER).bind(key.owner.0).bind(key.task.uuid());
    let row = query.fetch_optional(connection).await?;
    row.map(|row| DeadLetterRow::try_from(&row).map(|row| row.0)).transpose()
}

/// Dismisses a dead letter. A repeat after a lost answer reports that it is not open, which is
/// true.
async fn dismiss(pool: &PgPool, key: TaskKey) -> DbResult<bool> {
    let done =
        query(DISMISS_DEAD_LETTER).bind(key.owner.0).bind(key.task.uuid()).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// Reads a dead letter's resolution.
fn resolution(row: &PgRow) -> DbResult<Option<DeadLetterResolution>> {
    let redriven: Option<Uuid> = column(row, "redriven_as")?;
    let dismissed: bool = column(row, "dismissed")?;
    let redriven = redriven.map(|task| DeadLetterResolution::Redriven(TaskId::new(task)));
    Ok(redriven.or_else(|| dismissed.then_some(DeadLetterResolution::Dismissed)))
}

/// Redrives a dead task.
async fn redrive_in_transaction(db: &Db, dead: TaskKey, new: &NewTask) -> DbResult<RedriveOutcome> {
    let mut transaction = db.begin().await?;
    let lock = query(LOCK_DEAD_LETTER).bind(dead.owner.0).bind(dead.task.uuid());
    let Some(row) = lock.fetch_optional(&mut *transaction).await? else {
        return Ok(RedriveOutcome::NotDead);
    };
    match resolution(&row)? {
        // An earlier attempt of this call, or another operator, was faster.
        Some(DeadLetterResolution::Redriven(task)) => return Ok(RedriveOutcome::Already { task }),
        Some(DeadLetterResolution::Dismissed) => return Ok(RedriveOutcome::NotDead),
        None => {}
    }
    let task = match accept_in_transaction(&mut transaction, new).await? {
        Accepted::Created { .. } => new.accept.key.task,
        Accepted::Duplicate { task, .. } => task,
        Accepted::TaskExists => {
            return Err(DbError::Rejected("a task of the new id exists".to_owned()));
        }
        Accepted::KeyReused => {
            return Err(DbError::Rejected(
                "the new task's key was used with other content".to_owned(),
            ));
        }
    };
    // In the same transaction as the new task, so that both exist or neither.
    query(MARK_REDRIVEN)
        .bind(dead.owner.0)
        .bind(dead.task.uuid())
        .bind(task.uuid())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    // After the commit: readers must find the task when they hear of it.
    db.signals.publish_created([TaskKey { owner: dead.owner, task }]);
    Ok(RedriveOutcome::Now { task })
}

/// Lists queues by agent.
async fn list_queues(connection: &mut PgConnection) -> DbResult<Vec<QueueRecord>> {
    let rows = query(LIST_QUEUES).fetch_all(connection).await?;
    rows.iter().map(|row| QueueRow::try_from(row).map(|row| row.0)).collect()
}

/// Lists workers.
async fn list_workers(connection: &mut PgConnection) -> DbResult<Vec<WorkerRecord>> {
    let rows = query(LIST_WORKERS).fetch_all(connection).await?;
    rows.iter().map(|row| WorkerRow::try_from(row).map(|row| row.0)).collect()
}

struct DeadLetterRow(DeadLetter);

impl TryFrom<&PgRow> for DeadLetterRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let because: i16 = column(row, "because")?;
        let because = FailureKind::from_number(because).ok_or_else(|| {
            DbError::corrupt("dead_letters.because", format!("{because} is no kind"))
        })?;
        Ok(Self(DeadLetter {
            key: key(row)?,
            owner_name: column(row, "owner_name")?,
            agent: agent(row)?,
            context: context(row)?,
            at: column(row, "at")?,
            because,
            cause: column(row, "cause")?,
            attempts: column(row, "attempts")?,
            handled: resolution(row)?,
        }))
    }
}

fn number(row: &PgRow, name: &'static str) -> DbResult<u64> {
    Ok(u64::try_from(column::<i64>(row, name)?).unwrap_or_default())
}

struct QueueRow(QueueRecord);

impl TryFrom<&PgRow> for QueueRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let oldest = Duration::from_millis(number(row, "oldest_ms")?);
        Ok(Self(QueueRecord {
            agent: agent(row)?,
            ready: number(row, "ready")?,
            scheduled: number(row, "scheduled")?,
            held_back: number(row, "held_back")?,
            running: number(row, "running")?,
            oldest: (!column::<bool>(row, "empty")?).then_some(oldest),
        }))
    }
}

struct WorkerRow(WorkerRecord);

impl TryFrom<&PgRow> for WorkerRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let names: Vec<String> = column(row, "agents")?;
        let agents: std::result::Result<Vec<AgentName>, _> =
            names.into_iter().map(AgentName::new).collect();
        Ok(Self(WorkerRecord {
            id: WorkerId::new(column::<Uuid>(row, "worker_id")?),
            name: column(row, "name")?,
            agents: agents.map_err(|error| DbError::corrupt("workers.agents", error))?,
            lease_until: column(row, "lease_until")?,
            running: number(row, "running")?,
        }))
    }
}
