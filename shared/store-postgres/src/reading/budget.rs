//! Keeps snapshots within the room that is given for them: what is too large is not sent by the server.
//!
//! The sizes of chunks are asked for only where the number of entries says that they may be too many.

use crate::{
    column::column,
    failure::{DbResult, Failure},
    reading::{
        log,
        messages::{MessagesOf, newest},
    },
};
use longhaul_domain::{ArtifactUpdate, EntryBody, MAX_ENTRY_CONTENT_BYTES, Seq, TaskKey};
use longhaul_store::{ReadBudget, ReadLimit, StoreError};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Bytes of the chunks of tasks from one entry to another, and of those among them that are not before a third.
pub const CHUNK_SIZES: &str = "-- store::chunk_sizes
select coalesce(sum(c.bytes), 0)::int8 as most, coalesce(sum(c.surely), 0)::int8 as least
from unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[], $5::int8[]) as w (owner_id, task_id, from_seq, up_to, sure_from)
cross join lateral (
    select sum(octet_length(l.body::text)) as bytes,
        sum(octet_length(l.body::text)) filter (where l.seq >= w.sure_from) as surely
    from log l
    where l.owner_id = w.owner_id and l.task_id = w.task_id and l.kind = 3 and l.seq between w.from_seq and w.up_to
    offset 0
) c";

/// The newest messages of each task, in the order of the log. All have a body where they fit into $6 bytes together;
/// otherwise the newest of each have one that fit into $7.
pub const MESSAGES_WITHIN: &str = concat!(
    "-- store::messages_within
select s.owner_id, s.task_id, s.seq, s.kind, s.schema,
    case when s.whole <= $6 or s.newest <= $7 then s.body end as body
from (
    select w.owner_id, w.task_id, m.seq, m.kind, m.schema, m.body,
        sum(octet_length(m.body)) over () as whole,
        sum(octet_length(m.body)) over (
            partition by w.owner_id, w.task_id order by m.seq desc rows unbounded preceding
        ) as newest
    from unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[]) as w (owner_id, task_id, up_to, except_seq)
    cross join lateral (
",
    newest!(),
    "    ) m
) s
order by s.owner_id, s.task_id, s.seq"
);

/// Chunks of one task: none before `from`, none after `up_to`. From `sure_from` on each is part of its artifact; before
/// that, one that was replaced may be among them.
#[derive(Debug, Clone, Copy)]
pub struct Chunks {
    /// The task.
    pub key: TaskKey,
    /// The first entry.
    pub from: Seq,
    /// The last.
    pub up_to: Seq,
    /// Where the artifact begins that began last.
    pub sure_from: Seq,
}

/// What is known of the chunks of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// They take so many bytes at most, and there is room for them; 0: few enough not to be counted.
    Fit(u64),
    /// There is room for them if enough of them was replaced.
    MayFit,
}

/// Whether there is room for chunks; [`Failure::TooLarge`]: there is surely none.
pub async fn known(
    connection: &mut PgConnection,
    chunks: &[Chunks],
    budget: ReadBudget,
) -> DbResult<Known> {
    let Some(bytes) = budget.bytes() else { return Ok(Known::Fit(0)) };
    let entries: i64 = chunks.iter().map(|of| of.up_to.0 - of.from.0 + 1).sum();
    if entries.unsigned_abs().saturating_mul(MAX_ENTRY_CONTENT_BYTES as u64) <= bytes {
        return Ok(Known::Fit(0));
    }
    let row = query(CHUNK_SIZES)
        .bind(chunks.iter().map(|of| of.key.owner.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|of| of.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(chunks.iter().map(|of| of.from.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|of| of.up_to.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|of| of.sure_from.0).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    let size = |name| Ok::<_, Failure>(column::<i64>(&row, name)?.unsigned_abs());
    let (most, least) = (size("most")?, size("least")?);
    if least > bytes {
        Err(exceeded(budget))
    } else if most > bytes {
        Ok(Known::MayFit)
    } else {
        Ok(Known::Fit(most))
    }
}

/// Takes the chunks of a task one after the other, a page at a time. `take` says whether a chunk is part of its artifact; those
/// that are take what is `left` of the room. `false`: there is not enough of it.
pub async fn one_by_one(
    connection: &mut PgConnection,
    of: Chunks,
    left: &mut u64,
    mut take: impl FnMut(Seq, ArtifactUpdate) -> bool,
) -> DbResult<bool> {
    let mut after = Seq(of.from.0 - 1);
    while after < of.up_to {
        let cursors = BTreeMap::from([(of.key, after)]);
        let page = log::read(connection, &cursors, ReadLimit::default()).await?.remove(&of.key);
        let Some(page) = page.transpose()? else { break };
        let Some(last) = page.entries.last() else { break };
        after = last.seq;
        for entry in page.entries.into_iter().filter(|entry| entry.seq <= of.up_to) {
            let bytes = entry.body.encode().len() as u64;
            if let EntryBody::Artifact(update) = entry.body
                && take(entry.seq, update)
            {
                let Some(rest) = left.checked_sub(bytes) else { return Ok(false) };
                *left = rest;
            }
        }
    }
    Ok(true)
}

/// The rows of the newest messages, as many as there is room for.
pub async fn messages(
    connection: &mut PgConnection,
    wanted: &[MessagesOf],
    limit: u32,
    budget: ReadBudget,
) -> DbResult<Vec<PgRow>> {
    let bytes = i64::try_from(budget.bytes().unwrap_or(u64::MAX)).unwrap_or(i64::MAX);
    let share = match budget {
        ReadBudget::Unlimited | ReadBudget::Strict(_) => -1,
        ReadBudget::TrimHistory(_) => {
            bytes / i64::try_from(wanted.len()).unwrap_or(i64::MAX).max(1)
        }
    };
    let mut rows = query(MESSAGES_WITHIN)
        .bind(wanted.iter().map(|of| of.key.owner.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|of| of.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(wanted.iter().map(|of| of.up_to.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|of| of.except.0).collect::<Vec<_>>())
        .bind(i64::from(limit))
        .bind(bytes)
        .bind(share)
        .fetch_all(connection)
        .await?;
    let all = rows.len();
    rows.retain(|row| !matches!(column::<Option<&str>>(row, "body"), Ok(None)));
    if rows.len() < all && matches!(budget, ReadBudget::Strict(_)) {
        Err(exceeded(budget))
    } else {
        Ok(rows)
    }
}

/// There is too much for the room.
pub fn exceeded(budget: ReadBudget) -> Failure {
    match budget.exceeded() {
        StoreError::TooLarge { budget } => Failure::TooLarge(budget),
        other => Failure::Unavailable(other.to_string()),
    }
}
