//! Unblocks runs when their concurrency key becomes free.
//!
//! Whatever ends or releases a run that uses a key makes one blocked run ready, in the same
//! transaction. A claim blocks a run only while it has locked the rows that use the key, so it
//! cannot miss their end. A run that another transaction has locked is skipped here; a periodic
//! reap pass finds it.

use crate::{
    column::{agent, key},
    error::DbResult,
    write::LockedTask,
};
use longhaul_domain::{AgentName, TaskKey};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;

/// Makes a number of blocked runs per key ready, by priority and then age.
pub const UNBLOCK_RUNS: &str = "-- store::unblock_runs
with next as materialized (
    select n.owner_id, n.task_id
    from unnest($1::text[], $2::int4[], $3::text[], $4::int8[]) as f (agent, owner_id, concurrency_key, places)
    cross join lateral (
        select r.owner_id, r.task_id
        from runs r
        where r.agent = f.agent and r.owner_id = f.owner_id and r.concurrency_key = f.concurrency_key
            and r.worker is null and r.stage = 2
        order by r.priority desc, r.run_at, r.task_id
        limit f.places
        for update of r skip locked
    ) n
)
update runs r
set stage = 0
from next
where r.owner_id = any(array[next.owner_id]) and r.task_id = next.task_id
returning r.owner_id, r.task_id, r.agent";

/// A run that was blocked and is now ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnblockedRun {
    /// Task of the run.
    pub key: TaskKey,
    /// Agent of the run.
    pub agent: AgentName,
}

impl TryFrom<&PgRow> for UnblockedRun {
    type Error = crate::error::DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self { key: key(row)?, agent: agent(row)? })
    }
}

/// Agent, owner and concurrency key.
pub type ConcurrencyKeyRef<'a> = (&'a str, i32, &'a str);

/// Unblocks runs for the key slots that these tasks free.
pub async fn unblock_runs(
    connection: &mut PgConnection,
    tasks: &[LockedTask],
) -> DbResult<Vec<UnblockedRun>> {
    let mut places: BTreeMap<ConcurrencyKeyRef<'_>, i64> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.frees_concurrency_key()) {
        if let Some(key) = &task.concurrency_key {
            // Several tasks of the batch may free slots of one key.
            *places.entry((task.agent.as_str(), task.key.owner.0, key.as_str())).or_default() += 1;
        }
    }
    unblock(connection, &places).await
}

/// Unblocks a number of runs of each key.
pub async fn unblock(
    connection: &mut PgConnection,
    places: &BTreeMap<ConcurrencyKeyRef<'_>, i64>,
) -> DbResult<Vec<UnblockedRun>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(UNBLOCK_RUNS)
        .bind(places.keys().map(|place| place.0).collect::<Vec<_>>())
        .bind(places.keys().map(|place| place.1).collect::<Vec<_>>())
        .bind(places.keys().map(|place| place.2).collect::<Vec<_>>())
        .bind(places.values().copied().collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(UnblockedRun::try_from).collect()
}
