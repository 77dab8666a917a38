//! Places of concurrency keys that come free.
//!
//! Whatever ends or gives back a run that used a key makes one of the runs ready that were held back because of it, in the same
//! transaction. A claim holds a run back only while it has the rows of those that use the key, so it cannot miss that they end.
//! What slips through, because somebody has locked what was to be made ready, is found by a look from time to time.

use crate::{
    column::{agent, key},
    failure::DbResult,
    write::LockedTask,
};
use longhaul_domain::{AgentName, TaskKey};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;

/// For each key makes so many runs ready, those of the highest priority and of them the oldest.
pub const FREE_KEYS: &str = "-- store::free_keys
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

/// A run that was held back and is ready now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// Its task.
    pub key: TaskKey,
    /// Who does it.
    pub agent: AgentName,
}

impl TryFrom<&PgRow> for Freed {
    type Error = crate::failure::Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self { key: key(row)?, agent: agent(row)? })
    }
}

/// Agent, owner and concurrency key.
pub type Limited<'a> = (&'a str, i32, &'a str);

/// Makes runs ready for which these tasks have made room.
pub async fn free_keys(
    connection: &mut PgConnection,
    tasks: &[LockedTask],
) -> DbResult<Vec<Freed>> {
    let mut places: BTreeMap<Limited<'_>, i64> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.frees_key()) {
        if let Some(key) = &task.concurrency_key {
            *places.entry((task.agent.as_str(), task.key.owner.0, key.as_str())).or_default() += 1;
        }
    }
    free(connection, &places).await
}

/// Makes so many runs of each key ready.
pub async fn free(
    connection: &mut PgConnection,
    places: &BTreeMap<Limited<'_>, i64>,
) -> DbResult<Vec<Freed>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(FREE_KEYS)
        .bind(places.keys().map(|place| place.0).collect::<Vec<_>>())
        .bind(places.keys().map(|place| place.1).collect::<Vec<_>>())
        .bind(places.keys().map(|place| place.2).collect::<Vec<_>>())
        .bind(places.values().copied().collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(Freed::try_from).collect()
}
