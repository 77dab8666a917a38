//! How many tasks a list has: exact up to 10,000, an estimate above.
//!
//! What can be counted in an index alone is counted from its old end, where all pages are known to be visible to everybody. A
//! filter that no index knows is tried on 50,000 tasks; where there are more, those that match are projected on all.

use super::Way;
use crate::failure::DbResult;
use longhaul_domain::{AgentName, ContextId, TaskState, Timestamp};
use longhaul_store::ListQuery;
use sqlx_core::{query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::PgConnection;

/// How many tasks an owner has from a time on.
pub const COUNT_ALL: &str = "-- store::count_all
select count(*) from (
    (select from task_state s
    where s.owner_id = $1 and s.status_second > date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
    order by s.status_second
    limit $3)
    union all
    (select from task_state s
    where s.owner_id = $1 and s.status_at >= $2
        and s.status_second >= date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
        and s.status_second <= date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
    order by s.status_second
    limit $3)
) counted";

/// How many tasks match, counted up to a limit, and whether so many were looked at that others were left out.
pub const COUNT_TASKS: &str = "-- store::count_tasks
select count(*) filter (where c.matches), coalesce(bool_or(c.place = $6::int8), false)
from (
    select w.place, w.matches
    from (
        select row_number() over (order by s.status_second desc) as place,
            ($3::int2 is null or s.state = $3) and ($4::text is null or exists (
                select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $4 offset 0
            )) as matches
        from task_state s
        where s.owner_id = $1 and s.status_at >= $2
            and s.status_second >= date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
        order by s.status_second desc
        limit $6
    ) w
    where w.matches or w.place = $6
    limit $5
) c";

/// The same of an agent's tasks, in whichever state.
pub const COUNT_AGENT: &str = "-- store::count_agent
select count(*) filter (where c.matches), coalesce(bool_or(c.place = $4::int8), false)
from (
    select w.place, w.matches
    from (
        select row_number() over (order by t.task_id desc) as place, t.agent = $2 as matches
        from tasks t
        where t.owner_id = $1
        order by t.task_id desc
        limit $4
    ) w
    where w.matches or w.place = $4
    limit $3
) c";

/// The same of a state that few tasks are in.
pub const COUNT_SELDOM: &str = "-- store::count_seldom
select count(*) filter (where c.matches), coalesce(bool_or(c.place = $6::int8), false)
from (
    select w.place, w.matches
    from (
        select row_number() over (order by s.seldom_at) as place,
            $4::text is null or exists (
                select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $4 offset 0
            ) as matches
        from task_state s
        where s.owner_id = $1 and s.seldom = $3 and s.seldom_at >= $2
        order by s.seldom_at
        limit $6
    ) w
    where w.matches or w.place = $6
    limit $5
) c";

/// How many submitted or working tasks match, counted up to a limit.
pub const COUNT_LIVE: &str = "-- store::count_live
select count(*) from (
    select from runs r
    cross join lateral (
        select s.state, s.status_at from task_state s where s.owner_id = r.owner_id and s.task_id = r.task_id offset 0
    ) s
    where r.owner_id = $1 and s.status_at >= $2 and s.state = $3 and ($4::text is null or r.agent = $4)
    limit $5
) counted";

/// How many tasks of a conversation match, counted up to a limit.
pub const COUNT_CONTEXT: &str = "-- store::count_context
select count(*) from (
    select from tasks t
    cross join lateral (
        select s.state, s.status_at from task_state s where s.owner_id = t.owner_id and s.task_id = t.task_id offset 0
    ) s
    where t.owner_id = $1 and t.context_id = $6 and s.status_at >= $2 and ($3::int2 is null or s.state = $3)
        and ($4::text is null or t.agent = $4)
    limit $5
) counted";

/// How many tasks a conversation has, counted up to a limit.
pub const COUNT_CONVERSATION: &str = "-- store::count_conversation
select count(*) from (
    select from tasks t where t.owner_id = $1 and t.context_id = $2 order by t.task_id limit $3
) counted";

/// How many runs an owner has, counted up to a limit.
pub const COUNT_RUNS: &str = "-- store::count_runs
select count(*) from (select from runs r where r.owner_id = $1 limit $2) counted";

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

/// On so many tasks a filter is tried.
const TRIED: i64 = 50_000;

/// A moment that no status is older than.
pub fn from(asked: &ListQuery) -> Timestamp {
    asked.status_from.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How many tasks the list has.
pub async fn total(connection: &mut PgConnection, asked: &ListQuery, way: Way) -> DbResult<u64> {
    let whole = asked.state.is_none() && asked.status_from.is_none();
    let total = match (way, &asked.agent) {
        (Way::Context, None) if whole => conversation(connection, asked).await?,
        (Way::Context, _) => matching(connection, COUNT_CONTEXT, asked).await?,
        (Way::Live, _) => matching(connection, COUNT_LIVE, asked).await?,
        (Way::Seldom, _) => tried(connection, COUNT_SELDOM, asked).await?,
        (Way::Walk, Some(agent)) if whole => of_agent(connection, asked, agent).await?,
        (Way::Walk, None) if asked.state.is_none() => all(connection, asked).await?,
        (Way::Walk, _) => tried(connection, COUNT_TASKS, asked).await?,
    };
    Ok(total.unsigned_abs())
}

/// Whether an owner has so few runs that reading all of them is cheap.
pub async fn few_runs(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<bool> {
    let runs: i64 = query_scalar(COUNT_RUNS)
        .bind(asked.owner.0)
        .bind(COUNTED + 1)
        .fetch_one(connection)
        .await?;
    Ok(runs <= COUNTED)
}

async fn all(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<i64> {
    let total: i64 = query_scalar(COUNT_ALL)
        .bind(asked.owner.0)
        .bind(from(asked))
        .bind(COUNTED + 1)
        .fetch_one(&mut *connection)
        .await?;
    if total <= COUNTED {
        return Ok(total);
    }
    if asked.status_from.is_some() {
        return Ok(COUNTED + 1);
    }
    Ok(estimate(connection, asked).await?.max(COUNTED + 1))
}

async fn conversation(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<i64> {
    let count = query_scalar(COUNT_CONVERSATION)
        .bind(asked.owner.0)
        .bind(asked.context.as_ref().map(ContextId::as_str))
        .bind(COUNTED + 1);
    Ok(count.fetch_one(connection).await?)
}

async fn matching(
    connection: &mut PgConnection,
    statement: &'static str,
    asked: &ListQuery,
) -> DbResult<i64> {
    let mut count = query_scalar(statement)
        .bind(asked.owner.0)
        .bind(from(asked))
        .bind(asked.state.map(TaskState::number))
        .bind(asked.agent.as_ref().map(AgentName::as_str))
        .bind(COUNTED + 1);
    if let Some(context) = &asked.context {
        count = count.bind(context.as_str());
    }
    Ok(count.fetch_one(connection).await?)
}

async fn of_agent(
    connection: &mut PgConnection,
    asked: &ListQuery,
    agent: &AgentName,
) -> DbResult<i64> {
    let found: (i64, bool) = query_as(COUNT_AGENT)
        .bind(asked.owner.0)
        .bind(agent.as_str())
        .bind(COUNTED + 1)
        .bind(TRIED)
        .fetch_one(&mut *connection)
        .await?;
    projected(connection, asked, found).await
}

async fn tried(
    connection: &mut PgConnection,
    statement: &'static str,
    asked: &ListQuery,
) -> DbResult<i64> {
    let found: (i64, bool) = query_as(statement)
        .bind(asked.owner.0)
        .bind(from(asked))
        .bind(asked.state.map(TaskState::number))
        .bind(asked.agent.as_ref().map(AgentName::as_str))
        .bind(COUNTED + 1)
        .bind(TRIED)
        .fetch_one(&mut *connection)
        .await?;
    projected(connection, asked, found).await
}

/// Those that were found, or where not all were tried, what they make of all tasks.
async fn projected(
    connection: &mut PgConnection,
    asked: &ListQuery,
    (found, cut): (i64, bool),
) -> DbResult<i64> {
    if !cut || found > COUNTED || asked.status_from.is_some() {
        return Ok(found);
    }
    let all = estimate(connection, asked).await?.max(TRIED);
    Ok(found.saturating_mul(all) / TRIED)
}

async fn estimate(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<i64> {
    Ok(query_scalar(ESTIMATE_TASKS).bind(asked.owner.0).fetch_one(connection).await?)
}
