//! Details of runs besides the log, and queue depths.

use crate::{
    column::{column, key},
    error::{DbError, DbResult},
};
use longhaul_domain::{AgentName, OwnerId, TaskKey};
use longhaul_store::{QueuePosition, RunDetails};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::HashMap;

/// Reads details of runs.
///
/// Without a run, the attempt is that of the last entries or of the recorded failure.
pub const READ_RUN_DETAILS: &str = "-- store::read_run_details
select t.owner_id, t.task_id, t.priority, s.deadline_at, r.run_at, r.losses, r.worker is not null as running,
    coalesce(r.attempt, greatest(d.attempts, last.attempt), 0) as attempt
from unnest($1::int4[], $2::uuid[]) as w (owner_id, task_id)
cross join lateral (
    select t.owner_id, t.task_id, t.priority from tasks t where t.owner_id = w.owner_id and t.task_id = w.task_id offset 0
) t
cross join lateral (
    select s.deadline_at, s.last_seq from task_state s where s.owner_id = w.owner_id and s.task_id = w.task_id offset 0
) s
left join lateral (
    select r.task_id, r.run_at, r.losses, r.worker, r.attempt
    from runs r where r.owner_id = w.owner_id and r.task_id = w.task_id offset 0
) r on true
left join lateral (
    select d.attempts from dead_letters d where d.owner_id = w.owner_id and d.task_id = w.task_id offset 0
) d on true
left join lateral (
    select max(l.attempt) as attempt
    from log l
    where r.task_id is null and l.owner_id = w.owner_id and l.task_id = w.task_id and l.seq > s.last_seq - 8
) last on true";

/// Counts an agent's waiting runs up to a limit.
pub const QUEUE_DEPTH: &str = "-- store::queue_depth
select count(*) from (
    select from runs r where r.agent = $1 and r.worker is null limit $2
) counted";

/// Counts an agent's waiting runs of one owner up to a limit.
pub const QUEUE_DEPTH_OF_OWNER: &str = "-- store::queue_depth_of_owner
select count(*) from (
    select
    from unnest('{0,1,2}'::int2[]) as s (stage)
    cross join lateral (
        select from runs r
        where r.agent = $1 and r.stage = s.stage and r.owner_id = $3 and r.worker is null
        limit $2
    ) r
    limit $2
) counted";

/// Reads the details of those tasks that exist.
pub async fn run_details(
    connection: &mut PgConnection,
    keys: &[TaskKey],
) -> DbResult<HashMap<TaskKey, RunDetails>> {
    let rows = query(READ_RUN_DETAILS)
        .bind(keys.iter().map(|key| key.owner.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.task.uuid()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((key(row)?, RunDetailsRow::try_from(row)?.0))).collect()
}

/// Counts waiting runs up to the limit.
pub async fn queue_depth(
    connection: &mut PgConnection,
    agent: &AgentName,
    owner: Option<OwnerId>,
    limit: u32,
) -> DbResult<u32> {
    let statement = if owner.is_some() { QUEUE_DEPTH_OF_OWNER } else { QUEUE_DEPTH };
    let mut depth = query_scalar::<_, i64>(statement).bind(agent.as_str()).bind(i64::from(limit));
    if let Some(owner) = owner {
        depth = depth.bind(owner.0);
    }
    Ok(u32::try_from(depth.fetch_one(connection).await?).unwrap_or(limit))
}

struct RunDetailsRow(RunDetails);

impl TryFrom<&PgRow> for RunDetailsRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        // A task without a run is neither queued nor running.
        let queue = match column(row, "run_at")? {
            Some(run_at) => Some(QueuePosition {
                running: column(row, "running")?,
                run_at,
                losses: column(row, "losses")?,
            }),
            None => None,
        };
        Ok(Self(RunDetails {
            attempt: column(row, "attempt")?,
            priority: column(row, "priority")?,
            deadline: column(row, "deadline_at")?,
            queue,
        }))
    }
}
