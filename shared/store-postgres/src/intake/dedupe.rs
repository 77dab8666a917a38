//! Deduplication keys of messages, kept for 24 hours.

use crate::{
    column::{column, seq},
    error::DbResult,
};
use longhaul_domain::{OwnerId, Seq, TaskId, Timestamp};
use longhaul_store::DedupeKey;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// Finds unexpired keys, with the creation time of their tasks.
pub const FIND_DEDUPE_KEYS: &str = "-- store::find_dedupe_keys
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

/// Deletes expired keys from a range of table pages; returns the table's size in pages.
pub const PRUNE_DEDUPE_KEYS: &str = "-- store::prune_dedupe_keys
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

/// A message that was accepted before.
#[derive(Debug, Clone, Copy)]
pub struct KnownMessage {
    /// Digest of its content.
    pub content: [u8; 32],
    /// Task that it was accepted for.
    pub task: TaskId,
    /// Sequence of its log entry.
    pub seq: Seq,
    /// Time at which that task was created.
    pub created_at: Timestamp,
}

/// Looks up the messages behind these dedupe keys; unknown keys are missing in the result.
pub async fn known_messages(
    connection: &mut PgConnection,
    keys: &[(OwnerId, DedupeKey)],
) -> DbResult<HashMap<(OwnerId, [u8; 32]), KnownMessage>> {
    let (owners, hashes): (Vec<i32>, Vec<&[u8]>) =
        keys.iter().map(|(owner, key)| (owner.0, &key.key[..])).unzip();
    let rows = query(FIND_DEDUPE_KEYS).bind(owners).bind(hashes).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let place = (OwnerId(column(row, "owner_id")?), column::<[u8; 32]>(row, "key")?);
            Ok((place, KnownMessage::try_from(row)?))
        })
        .collect()
}

impl TryFrom<&PgRow> for KnownMessage {
    type Error = crate::error::DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self {
            content: column(row, "content")?,
            task: TaskId::new(column::<Uuid>(row, "task_id")?),
            seq: seq(row, "seq")?,
            created_at: column(row, "created_at")?,
        })
    }
}
