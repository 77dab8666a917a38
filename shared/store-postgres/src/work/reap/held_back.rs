//! Unblocks runs that are held back although their concurrency key is free.
//!
//! A run that ends normally unblocks the next one at once. This finds what was skipped, a bounded
//! number of keys per pass.

use crate::{
    column::{agent, column},
    db::Db,
    error::DbResult,
    write::concurrency_keys::{ConcurrencyKeyRef, UnblockedRun, unblock},
};
use longhaul_store::Reaped;
use sqlx_core::query::query;
use std::collections::BTreeMap;

/// Finds keys with held-back runs after a cursor, each by one index step from the one before.
pub const FIND_HELD_KEYS: &str = "-- store::find_held_keys
with recursive held as (
    (select r.agent, r.owner_id, r.concurrency_key, 1 as place
    from runs r
    where r.worker is null and r.stage = 2 and (r.agent, r.owner_id, r.concurrency_key) > ($1, $2, $3)
    order by r.agent, r.owner_id, r.concurrency_key
    limit 1)
    union all
    select n.agent, n.owner_id, n.concurrency_key, h.place + 1
    from held h
    cross join lateral (
        select r.agent, r.owner_id, r.concurrency_key
        from runs r
        where r.worker is null and r.stage = 2
            and (r.agent, r.owner_id, r.concurrency_key) > (h.agent, h.owner_id, h.concurrency_key)
        order by r.agent, r.owner_id, r.concurrency_key
        limit 1
    ) n
    where h.place < $4
), used as materialized (
    select distinct r.agent, r.owner_id, r.concurrency_key
    from runs r
    where r.worker is not null and r.concurrency_key is not null
)
select h.agent, h.owner_id, h.concurrency_key,
    (h.agent, h.owner_id, h.concurrency_key) not in (select u.agent, u.owner_id, u.concurrency_key from used u) as free
from held h
order by h.place";

/// Most keys examined per pass.
const MAX_HELD_KEYS_PER_PASS: i32 = 500;

/// Makes one run ready for each key that no run uses.
pub async fn unblock_idle_keys(db: &Db) -> DbResult<Vec<Reaped>> {
    let (after_agent, after_owner, after_key) = db.maintenance.held_back_cursor();
    let mut transaction = db.relaxed.begin().await?;
    let rows = query(FIND_HELD_KEYS)
        .bind(after_agent)
        .bind(after_owner)
        .bind(after_key)
        .bind(MAX_HELD_KEYS_PER_PASS)
        .fetch_all(&mut *transaction)
        .await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = (
            agent(row)?.as_str().to_owned(),
            column::<i32>(row, "owner_id")?,
            column::<String>(row, "concurrency_key")?,
        );
        keys.push((place, column::<bool>(row, "free")?));
    }
    let places: BTreeMap<ConcurrencyKeyRef<'_>, i64> = keys
        .iter()
        .filter(|(_, free)| *free)
        .map(|((agent, owner, key), _)| ((agent.as_str(), *owner, key.as_str()), 1))
        .collect();
    // Rows locked by others are skipped; the next pass finds them.
    let freed = unblock(&mut transaction, &places).await?;
    transaction.commit().await?;
    // After the last page start again at the first.
    let full = i32::try_from(keys.len()).is_ok_and(|keys| keys >= MAX_HELD_KEYS_PER_PASS);
    let last = keys.pop().filter(|_| full).map(|(place, _)| place);
    db.maintenance.record_held_back(last.unwrap_or_default());
    Ok(freed.into_iter().map(|UnblockedRun { key, agent }| Reaped::Due { key, agent }).collect())
}
