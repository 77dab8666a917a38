//! Totals of lists: exact up to 10,000, estimated above.
//!
//! Index-only counts start at the old end of the index, whose pages are all-visible. A filter
//! without an index is applied to a sample of 50,000 tasks and extrapolated if there are more.

use crate::{
    error::DbResult,
    reading::list_pages::{ListPath, MAX_EXACT_TOTAL, status_from},
};
use longhaul_domain::{AgentName, ContextId, TaskState};
use longhaul_store::ListQuery;
use sqlx_core::{query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::PgConnection;

/// Counts an owner's tasks from a time on.
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

/// Counts matching tasks up to a limit; also returns whether the sample ended before the list.
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

/// Counts an agent's tasks in any state, in the same way.
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

/// Counts the tasks in a rare state, in the same way.
pub const COUNT_RARE_STATE: &str = "-- store::count_rare_state
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

/// Counts matching submitted or working tasks up to a limit.
pub const COUNT_LIVE: &str = "-- store::count_live
select count(*) from (
    select from runs r
    cross join lateral (
        select s.state, s.status_at from task_state s where s.owner_id = r.owner_id and s.task_id = r.task_id offset 0
    ) s
    where r.owner_id = $1 and s.status_at >= $2 and s.state = $3 and ($4::text is null or r.agent = $4)
    limit $5
) counted";

/// Counts matching tasks of a context up to a limit.
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

/// Counts all tasks of a context up to a limit.
pub const COUNT_CONTEXT_TASKS: &str = "-- store::count_context_tasks
select count(*) from (
    select from tasks t where t.owner_id = $1 and t.context_id = $2 order by t.task_id limit $3
) counted";

/// Estimates an owner's tasks from the planner's statistics.
pub const ESTIMATE_TASKS: &str = "-- store::estimate_tasks
select coalesce(max(c.reltuples * m.frequency), 0)::int8
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_stats p on p.schemaname = n.nspname and p.tablename = c.relname and p.attname = 'owner_id'
cross join lateral unnest(p.most_common_vals::text::int4[], p.most_common_freqs) as m (owner_id, frequency)
where c.oid = to_regclass('task_state') and m.owner_id = $1";

/// Tasks that a filter without an index is applied to.
const FILTER_SAMPLE_TASKS: i64 = 50_000;

/// Total number of tasks in the list.
pub async fn total(
    connection: &mut PgConnection,
    request: &ListQuery,
    path: ListPath,
) -> DbResult<u64> {
    let whole = request.state.is_none() && request.status_from.is_none();
    let total = match (path, &request.agent) {
        (ListPath::Context, None) if whole => count_context(connection, request).await?,
        (ListPath::Context, _) => count_matching(connection, COUNT_CONTEXT, request).await?,
        (ListPath::Live, _) => count_matching(connection, COUNT_LIVE, request).await?,
        (ListPath::RareState, _) => count_sampled(connection, COUNT_RARE_STATE, request).await?,
        (ListPath::Walk, Some(agent)) if whole => {
            count_of_agent(connection, request, agent).await?
        }
        (ListPath::Walk, None) if request.state.is_none() => count_all(connection, request).await?,
        (ListPath::Walk, _) => count_sampled(connection, COUNT_TASKS, request).await?,
    };
    Ok(total.unsigned_abs())
}

async fn count_all(connection: &mut PgConnection, request: &ListQuery) -> DbResult<i64> {
    let total: i64 = query_scalar(COUNT_ALL)
        .bind(request.owner.0)
        .bind(status_from(request))
        .bind(MAX_EXACT_TOTAL + 1)
        .fetch_one(&mut *connection)
        .await?;
    if total <= MAX_EXACT_TOTAL {
        return Ok(total);
    }
    // The planner has statistics per owner, but none per owner and time.
    if request.status_from.is_some() {
        return Ok(MAX_EXACT_TOTAL + 1);
    }
    Ok(estimate(connection, request).await?.max(MAX_EXACT_TOTAL + 1))
}

async fn count_context(connection: &mut PgConnection, request: &ListQuery) -> DbResult<i64> {
    let count = query_scalar(COUNT_CONTEXT_TASKS)
        .bind(request.owner.0)
        .bind(request.context.as_ref().map(ContextId::as_str))
        .bind(MAX_EXACT_TOTAL + 1);
    Ok(count.fetch_one(connection).await?)
}

async fn count_matching(
    connection: &mut PgConnection,
    statement: &'static str,
    request: &ListQuery,
) -> DbResult<i64> {
    let mut count = query_scalar(statement)
        .bind(request.owner.0)
        .bind(status_from(request))
        .bind(request.state.map(TaskState::number))
        .bind(request.agent.as_ref().map(AgentName::as_str))
        .bind(MAX_EXACT_TOTAL + 1);
    if let Some(context) = &request.context {
        count = count.bind(context.as_str());
    }
    Ok(count.fetch_one(connection).await?)
}

async fn count_of_agent(
    connection: &mut PgConnection,
    request: &ListQuery,
    agent: &AgentName,
) -> DbResult<i64> {
    let found: (i64, bool) = query_as(COUNT_AGENT)
        .bind(request.owner.0)
        .bind(agent.as_str())
        .bind(MAX_EXACT_TOTAL + 1)
        .bind(FILTER_SAMPLE_TASKS)
        .fetch_one(&mut *connection)
        .await?;
    extrapolate(connection, request, found).await
}

async fn count_sampled(
    connection: &mut PgConnection,
    statement: &'static str,
    request: &ListQuery,
) -> DbResult<i64> {
    let found: (i64, bool) = query_as(statement)
        .bind(request.owner.0)
        .bind(status_from(request))
        .bind(request.state.map(TaskState::number))
        .bind(request.agent.as_ref().map(AgentName::as_str))
        .bind(MAX_EXACT_TOTAL + 1)
        .bind(FILTER_SAMPLE_TASKS)
        .fetch_one(&mut *connection)
        .await?;
    extrapolate(connection, request, found).await
}

/// Returns the count, extrapolated to all tasks if only a sample was filtered.
async fn extrapolate(
    connection: &mut PgConnection,
    request: &ListQuery,
    (found, cut): (i64, bool),
) -> DbResult<i64> {
    if !cut || found > MAX_EXACT_TOTAL || request.status_from.is_some() {
        return Ok(found);
    }
    // The sample held this many tasks, so there are at least as many.
    let all = estimate(connection, request).await?.max(FILTER_SAMPLE_TASKS);
    Ok(found.saturating_mul(all) / FILTER_SAMPLE_TASKS)
}

async fn estimate(connection: &mut PgConnection, request: &ListQuery) -> DbResult<i64> {
    Ok(query_scalar(ESTIMATE_TASKS).bind(request.owner.0).fetch_one(connection).await?)
}
