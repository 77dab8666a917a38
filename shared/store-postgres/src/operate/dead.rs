//! Tasks that have failed, and what became of them.

use crate::{
    column::{agent, column, context, key},
    failure::{DbResult, Failure},
};
use longhaul_domain::{AgentName, FailureKind, TaskId, TaskKey, Timestamp};
use longhaul_store::{DeadLetter, DeadLetterQuery, DeadLetterResolution};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgPool, PgRow};
use uuid::Uuid;

/// A page of dead letters, the latest first.
pub const DEAD: &str = "-- store::dead
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

/// A page of the dead letters of one owner.
pub const DEAD_OF_OWNER: &str = "-- store::dead_of_owner
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

/// One dead letter.
pub const DEAD_LETTER: &str = "-- store::dead_letter
select d.owner_id, d.task_id, d.agent, d.at, d.because, d.cause, d.attempts, d.redriven_as, d.dismissed, t.context_id,
    o.name as owner_name
from dead_letters d
cross join lateral (
    select t.context_id from tasks t where t.owner_id = d.owner_id and t.task_id = d.task_id offset 0
) t
cross join lateral (select o.name from owners o where o.owner_id = d.owner_id offset 0) o
where d.owner_id = $1 and d.task_id = $2";

/// Takes a dead letter off the list, once.
pub const DISMISS: &str = "-- store::dismiss
update dead_letters set dismissed = true
where owner_id = $1 and task_id = $2 and redriven_as is null and not dismissed";

/// Lists dead letters.
pub async fn list(
    connection: &mut PgConnection,
    asked: &DeadLetterQuery,
) -> DbResult<Vec<DeadLetter>> {
    let end = Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let (at, task) = asked.after.map_or((end, Uuid::max()), |(at, task)| (at, task.uuid()));
    let statement = if asked.owner.is_some() { DEAD_OF_OWNER } else { DEAD };
    let mut query = query(statement)
        .bind(at)
        .bind(task)
        .bind(asked.from.unwrap_or(Timestamp::UNIX_EPOCH))
        .bind(asked.before.unwrap_or(end))
        .bind(asked.agent.as_ref().map(AgentName::as_str))
        .bind(asked.because.map(FailureKind::number))
        .bind(asked.cause_contains.as_deref())
        .bind(asked.handled)
        .bind(i64::from(asked.limit.clamp(1, 1_000)));
    if let Some(owner) = asked.owner {
        query = query.bind(owner.0);
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| DeadRow::try_from(row).map(|row| row.0)).collect()
}

/// Reads one.
pub async fn one(connection: &mut PgConnection, of: TaskKey) -> DbResult<Option<DeadLetter>> {
    let query = query(DEAD_LETTER).bind(of.owner.0).bind(of.task.uuid());
    let row = query.fetch_optional(connection).await?;
    row.map(|row| DeadRow::try_from(&row).map(|row| row.0)).transpose()
}

/// Dismisses one. A repeat after a lost answer says that it is not on the list, which it is not.
pub async fn dismiss(pool: &PgPool, of: TaskKey) -> DbResult<bool> {
    let done = query(DISMISS).bind(of.owner.0).bind(of.task.uuid()).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// What became of a dead letter, by its columns.
pub fn handled(row: &PgRow) -> DbResult<Option<DeadLetterResolution>> {
    let redriven: Option<Uuid> = column(row, "redriven_as")?;
    let dismissed: bool = column(row, "dismissed")?;
    let redriven = redriven.map(|task| DeadLetterResolution::Redriven(TaskId::new(task)));
    Ok(redriven.or_else(|| dismissed.then_some(DeadLetterResolution::Dismissed)))
}

struct DeadRow(DeadLetter);

impl TryFrom<&PgRow> for DeadRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let because: i16 = column(row, "because")?;
        let because = FailureKind::from_number(because).ok_or_else(|| {
            Failure::corrupt("dead_letters.because", format!("{because} is no kind"))
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
            handled: handled(row)?,
        }))
    }
}
