//! Checkpoints of runs: named values, written together with the output before them.

use crate::{
    db::Db,
    error::{DbError, DbResult},
};
use longhaul_domain::{CheckpointName, Json, TaskKey, Timestamp};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::PgConnection;
use std::collections::BTreeMap;

/// Reads one value.
pub const READ_CHECKPOINT: &str = "-- store::read_checkpoint
select value::text from checkpoints where owner_id = $1 and task_id = $2 and name = $3";

/// Upserts values.
pub const KEEP_CHECKPOINTS: &str = "-- store::keep_checkpoints
insert into checkpoints (owner_id, task_id, name, at, value)
select owner_id, task_id, name, at, value::json
from unnest($1::int4[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) as c (owner_id, task_id, name, at, value)
on conflict (owner_id, task_id, name) do update set at = excluded.at, value = excluded.value";

/// Values by task and name.
pub type CheckpointValues = BTreeMap<(TaskKey, CheckpointName), (Timestamp, Json)>;

/// Writes the values, if any.
pub async fn keep(connection: &mut PgConnection, kept: &CheckpointValues) -> DbResult<()> {
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

/// Reads the value of a checkpoint.
pub async fn read_checkpoint(
    db: &Db,
    key: TaskKey,
    name: &CheckpointName,
) -> DbResult<Option<Json>> {
    let value: Option<String> = query_scalar(READ_CHECKPOINT)
        .bind(key.owner.0)
        .bind(key.task.uuid())
        .bind(name.as_str())
        .fetch_optional(&db.pool)
        .await?;
    let value = value.map(|text| Json::parse(&text)).transpose();
    value.map_err(|error| DbError::corrupt("checkpoints.value", error))
}
