//! Messages that came before.

use crate::{
    column::{column, seq},
    failure::DbResult,
};
use longhaul_domain::{OwnerId, Seq, TaskId, Timestamp};
use longhaul_store::DedupeKey;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// Known keys not older than a day, with the age of the task that they lead to.
pub const KNOWN_KEYS: &str = "-- store::known_keys
select k.owner_id, k.key, k.content, k.task_id, k.seq, coalesce(t.created_at, k.at) as created_at
from unnest($1::int4[], $2::bytea[]) as w (owner_id, key)
cross join lateral (
    select k.owner_id, k.key, k.content, k.task_id, k.seq, k.at
    from message_keys k where k.owner_id = w.owner_id and k.key = w.key offset 0
) k
left join lateral (
    select t.created_at from tasks t where t.owner_id = k.owner_id and t.task_id = k.task_id offset 0
) t on true
where k.at >= clock_timestamp() - interval '24 hours'";

/// Deletes keys that are too old to count, on the pages of the table from one to another; gives how many pages there are.
pub const PRUNE_KEYS: &str = "-- store::prune_keys
with gone as (
    delete from message_keys
    where ctid = any(array(
        select k.ctid from message_keys k
        where k.ctid >= format('(%s,0)', $1::int8)::tid and k.ctid < format('(%s,0)', $2::int8)::tid
            and k.at < (select clock_timestamp() - interval '24 hours')
        for update skip locked
    ))
)
select pg_relation_size('message_keys') / current_setting('block_size')::int8 as pages";

/// Where a message went that came before.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Digest of its content.
    pub content: [u8; 32],
    /// The task that it went to.
    pub task: TaskId,
    /// Its place there.
    pub seq: Seq,
    /// When that task was accepted.
    pub created_at: Timestamp,
}

/// Those keys that are known.
pub async fn known(
    connection: &mut PgConnection,
    keys: &[(OwnerId, DedupeKey)],
) -> DbResult<HashMap<(OwnerId, [u8; 32]), Known>> {
    let (owners, hashes): (Vec<i32>, Vec<&[u8]>) =
        keys.iter().map(|(owner, key)| (owner.0, &key.key[..])).unzip();
    let rows = query(KNOWN_KEYS).bind(owners).bind(hashes).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let place = (OwnerId(column(row, "owner_id")?), column::<[u8; 32]>(row, "key")?);
            Ok((place, Known::try_from(row)?))
        })
        .collect()
}

impl TryFrom<&PgRow> for Known {
    type Error = crate::failure::Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self {
            content: column(row, "content")?,
            task: TaskId::new(column::<Uuid>(row, "task_id")?),
            seq: seq(row, "seq")?,
            created_at: column(row, "created_at")?,
        })
    }
}
