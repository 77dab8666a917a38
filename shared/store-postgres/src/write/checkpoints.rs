//! What runs keep by name, written in one step with the output that came before it.

use crate::failure::DbResult;
use longhaul_domain::{CheckpointName, Json, TaskKey, Timestamp};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::collections::BTreeMap;

/// Keeps values. A later one of the same name takes the place of the earlier one.
pub const KEEP_CHECKPOINTS: &str = "-- store::keep_checkpoints
insert into checkpoints (owner_id, task_id, name, at, value)
select owner_id, task_id, name, at, value::json
from unnest($1::int4[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) as c (owner_id, task_id, name, at, value)
on conflict (owner_id, task_id, name) do update set at = excluded.at, value = excluded.value";

/// Values by task and name, each name once.
pub type Kept = BTreeMap<(TaskKey, CheckpointName), (Timestamp, Json)>;

/// Writes them; nothing where there are none.
pub async fn keep(connection: &mut PgConnection, kept: &Kept) -> DbResult<()> {
    if kept.is_empty() {
        return Ok(());
    }
    query(KEEP_CHECKPOINTS)
        .bind(kept.keys().map(|(key, _)| key.owner.0).collect::<Vec<_>>())
        .bind(kept.keys().map(|(key, _)| key.task.uuid()).collect::<Vec<_>>())
        .bind(kept.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>())
        .bind(kept.values().map(|(at, _)| *at).collect::<Vec<_>>())
        .bind(kept.values().map(|(_, value)| value.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
