//! What runs before this one have stored by name.

use crate::{db::Db, failure::DbResult, failure::Failure};
use longhaul_domain::{CheckpointName, Json, TaskKey};
use sqlx_core::query_scalar::query_scalar;

/// One value.
pub const READ_CHECKPOINT: &str = "-- store::read_checkpoint
select value::text from checkpoints where owner_id = $1 and task_id = $2 and name = $3";

/// Reads the value of a name.
pub async fn read(db: &Db, key: TaskKey, name: &CheckpointName) -> DbResult<Option<Json>> {
    let value: Option<String> = query_scalar(READ_CHECKPOINT)
        .bind(key.owner.0)
        .bind(key.task.uuid())
        .bind(name.as_str())
        .fetch_optional(&db.pool)
        .await?;
    let value = value.map(|text| Json::parse(&text)).transpose();
    value.map_err(|error| Failure::corrupt("checkpoints.value", error))
}
