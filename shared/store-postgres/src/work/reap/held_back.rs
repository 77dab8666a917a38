//! Runs that are held back although nobody uses their concurrency key.
//!
//! Whoever ends a run that used it makes the next one ready at once. This finds what slipped through, a bounded number of keys
//! at a time.

use crate::{
    column::{agent, column},
    db::Db,
    failure::DbResult,
    write::free::{Freed, Limited, free as free_places},
};
use longhaul_store::Reaped;
use sqlx_core::query::query;
use std::collections::BTreeMap;

/// Keys for which runs are held back, behind a place, each by one step in the index from the one before.
pub const HELD_KEYS: &str = "-- store::held_keys
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

/// How many keys are looked at, at a time.
const KEYS: i32 = 500;

/// Makes one run ready of each key that nobody uses.
pub async fn free(db: &Db) -> DbResult<Vec<Reaped>> {
    let (after_agent, after_owner, after_key) = db.rounds.held_back();
    let mut transaction = db.relaxed.begin().await?;
    let rows = query(HELD_KEYS)
        .bind(after_agent)
        .bind(after_owner)
        .bind(after_key)
        .bind(KEYS)
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
    let places: BTreeMap<Limited<'_>, i64> = keys
        .iter()
        .filter(|(_, free)| *free)
        .map(|((agent, owner, key), _)| ((agent.as_str(), *owner, key.as_str()), 1))
        .collect();
    let freed = free_places(&mut transaction, &places).await?;
    transaction.commit().await?;
    // The last page is followed by the first.
    let full = i32::try_from(keys.len()).is_ok_and(|keys| keys >= KEYS);
    let last = keys.pop().filter(|_| full).map(|(place, _)| place);
    db.rounds.looked_at(last.unwrap_or_default());
    Ok(freed.into_iter().map(|Freed { key, agent }| Reaped::Due { key, agent }).collect())
}
