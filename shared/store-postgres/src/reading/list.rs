//! Lists: one page by key, never by offset; messages and artifacts of the whole page with one statement each.
//!
//! The total is counted up to 10,000. Above, it is estimated from the planner's statistics of the owner where nothing is
//! filtered, and told as 10,001 otherwise: counting everything would cost more than the page.

use crate::{
    failure::DbResult,
    reading::task::{TaskRow, fill},
};
use longhaul_domain::{AgentName, Task, TaskState, Timestamp};
use longhaul_store::{ListCursor, ListQuery, TaskPage};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::PgConnection;
use uuid::Uuid;

/// A page of an owner's tasks. The index knows the seconds of the statuses: one walk finds the second in which the page ends, the
/// other one sorts what is not older.
pub const LIST_TASKS: &str = "-- store::list_tasks
with edge as materialized (
    select s.status_second
    from task_state s
    where s.owner_id = $1 and s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4)
        and s.status_second >= date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
        and s.status_second <= date_bin('1 second', $3, timestamptz '1970-01-01 00:00:00+00')
        and ($5::int2 is null or s.state = $5)
        and ($6::text is null or exists (
            select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $6 offset 0
        ))
    order by s.status_second desc
    limit 1 offset $7::int8 - 1
), page as materialized (
    select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq
    from task_state s
    where s.owner_id = $1 and s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4)
        and s.status_second >= coalesce(
            (select status_second from edge), date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
        )
        and s.status_second <= date_bin('1 second', $3, timestamptz '1970-01-01 00:00:00+00')
        and ($5::int2 is null or s.state = $5)
        and ($6::text is null or exists (
            select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $6 offset 0
        ))
    order by s.status_at desc, s.task_id desc
    limit $7
)
select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, t.agent, t.context_id, t.created_at,
    l.kind, l.schema, l.body::text as body
from page s
join tasks t on t.owner_id = s.owner_id and t.task_id = s.task_id
left join log l on l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq
order by s.status_at desc, s.task_id desc";

/// A page of one conversation, which is found first.
pub const LIST_CONTEXT: &str = "-- store::list_context
with context as materialized (
    select t.owner_id, t.task_id, t.agent, t.context_id, t.created_at
    from tasks t
    where t.owner_id = $1 and t.context_id = $8 and ($6::text is null or t.agent = $6)
)
select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, t.agent, t.context_id, t.created_at,
    l.kind, l.schema, l.body::text as body
from context t
join task_state s on s.owner_id = t.owner_id and s.task_id = t.task_id
left join log l on l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq
where s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4) and ($5::int2 is null or s.state = $5)
order by s.status_at desc, s.task_id desc
limit $7";

/// How many tasks match, counted up to a limit.
pub const COUNT_TASKS: &str = "-- store::count_tasks
select count(*) from (
    select from task_state s
    where s.owner_id = $1 and s.status_at >= $2 and ($3::int2 is null or s.state = $3)
        and s.status_second >= date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
        and ($4::text is null or exists (
            select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $4 offset 0
        ))
    limit $5
) counted";

/// How many tasks of a conversation match, counted up to a limit.
pub const COUNT_CONTEXT: &str = "-- store::count_context
select count(*) from (
    select from tasks t
    join task_state s on s.owner_id = t.owner_id and s.task_id = t.task_id
    where t.owner_id = $1 and t.context_id = $6 and s.status_at >= $2 and ($3::int2 is null or s.state = $3)
        and ($4::text is null or t.agent = $4)
    limit $5
) counted";

/// How many tasks an owner has, from the planner's statistics.
pub const ESTIMATE_TASKS: &str = "-- store::estimate_tasks
select coalesce(max(c.reltuples * m.frequency), 0)::int8
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_stats p on p.schemaname = n.nspname and p.tablename = c.relname and p.attname = 'owner_id'
cross join lateral unnest(p.most_common_vals::text::int4[], p.most_common_freqs) as m (owner_id, frequency)
where c.oid = to_regclass('task_state') and m.owner_id = $1";

/// Up to this many tasks the total is exact.
const COUNTED: i64 = 10_000;

/// Reads one page.
pub async fn list(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<TaskPage> {
    let size = asked.page_size.clamp(1, 100);
    let mut tasks = page(connection, asked, i64::from(size) + 1).await?;
    let more = tasks.len() > size as usize;
    tasks.truncate(size as usize);
    fill(connection, &mut tasks, asked.options).await?;
    let total = match asked.after {
        Some(after) => after.total,
        None => total(connection, asked).await?,
    };
    let next = tasks.last().filter(|_| more).map(|last| ListCursor {
        status_at: last.status.at,
        task: last.key.task,
        total,
    });
    Ok(TaskPage { tasks, next, total })
}

/// A moment that no status is older than.
fn from(asked: &ListQuery) -> Timestamp {
    asked.status_from.unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn page(connection: &mut PgConnection, asked: &ListQuery, limit: i64) -> DbResult<Vec<Task>> {
    // Before the first page stands a place that no task has: the end of the year 9999.
    let end = Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let (status_at, task) =
        asked.after.map_or((end, Uuid::max()), |after| (after.status_at, after.task.uuid()));
    let statement = if asked.context.is_some() { LIST_CONTEXT } else { LIST_TASKS };
    let mut query = query(statement)
        .bind(asked.owner.0)
        .bind(from(asked))
        .bind(status_at)
        .bind(task)
        .bind(asked.state.map(TaskState::number))
        .bind(asked.agent.as_ref().map(AgentName::as_str))
        .bind(limit);
    if let Some(context) = &asked.context {
        query = query.bind(context.as_str());
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| TaskRow::try_from(row).map(|row| row.0)).collect()
}

async fn total(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<u64> {
    let statement = if asked.context.is_some() { COUNT_CONTEXT } else { COUNT_TASKS };
    let mut count = query_scalar::<_, i64>(statement)
        .bind(asked.owner.0)
        .bind(from(asked))
        .bind(asked.state.map(TaskState::number))
        .bind(asked.agent.as_ref().map(AgentName::as_str))
        .bind(COUNTED + 1);
    if let Some(context) = &asked.context {
        count = count.bind(context.as_str());
    }
    let mut total: i64 = count.fetch_one(&mut *connection).await?;
    let filtered = asked.context.is_some()
        || asked.agent.is_some()
        || asked.state.is_some()
        || asked.status_from.is_some();
    if total > COUNTED && !filtered {
        let estimate: i64 =
            query_scalar(ESTIMATE_TASKS).bind(asked.owner.0).fetch_one(connection).await?;
        total = total.max(estimate);
    }
    Ok(total.unsigned_abs())
}
