//! Artifacts of many tasks.
//!
//! The start of each artifact comes from the first 16 log entries, and behind them from a partial
//! index. Its chunks come from the log after that point. Sizes are measured only if the number of
//! entries may exceed the read budget.

use crate::{
    column::{body, column, key, seq},
    error::{DbError, DbResult},
    reading::log,
};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, EntryBody, MAX_ENTRY_CONTENT_BYTES, Seq, TaskKey,
};
use longhaul_store::{ReadBudget, ReadLimit};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Finds the first and the newest start of each artifact. Later starts come in the order of the
/// partial index.
pub const ARTIFACT_HEADS: &str = "-- store::artifact_heads
select w.owner_id, w.task_id, h.head, h.first, h.newest
from unnest($1::int4[], $2::uuid[], $3::int8[]) as w (owner_id, task_id, up_to)
cross join lateral (
    select l.head, min(l.seq) as first, max(l.seq) as newest
    from (
        (select l.head, l.seq
        from log l
        where l.owner_id = w.owner_id and l.task_id = w.task_id and l.head is not null and l.seq > 16 and l.seq <= w.up_to
        order by l.head, l.seq
        offset 0)
        union all
        (select l.head, l.seq
        from log l
        where l.owner_id = w.owner_id and l.task_id = w.task_id and l.seq <= least(w.up_to, 16) and l.head is not null
        offset 0)
    ) l
    group by l.head
) h
order by w.owner_id, w.task_id, h.first";

/// Reads the chunks of each task in a range of entries, in log order. The log's key yields each
/// task's chunks in order; a sort of them all would spill to disk.
pub const ARTIFACT_CHUNKS: &str = "-- store::artifact_chunks
select w.owner_id, w.task_id, c.seq, c.kind, c.schema, c.body
from unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[]) as w (owner_id, task_id, from_seq, up_to)
cross join lateral (
    select l.seq, l.kind, l.schema, l.body::text as body
    from log l
    where l.owner_id = w.owner_id and l.task_id = w.task_id and l.kind = 3 and l.seq between w.from_seq and w.up_to
    order by l.seq
    offset 0
) c";

/// Measures the chunks of tasks in a range of entries: the bytes of all, and of those from
/// `sure_from` on.
pub const MEASURE_CHUNKS: &str = "-- store::measure_chunks
select coalesce(sum(c.bytes), 0)::int8 as most, coalesce(sum(c.surely), 0)::int8 as least
from unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[], $5::int8[]) as w (owner_id, task_id, from_seq, up_to, sure_from)
cross join lateral (
    select sum(octet_length(l.body::text)) as bytes,
        sum(octet_length(l.body::text)) filter (where l.seq >= w.sure_from) as surely
    from log l
    where l.owner_id = w.owner_id and l.task_id = w.task_id and l.kind = 3 and l.seq between w.from_seq and w.up_to
    offset 0
) c";

/// An artifact and the entry at which its current content begins.
struct ArtifactStart {
    id: ArtifactId,
    newest: Seq,
}

/// Artifacts being assembled.
type AssembledArtifacts = HashMap<(TaskKey, ArtifactId), Vec<Artifact>>;

/// Reads each task's artifacts as of the given entry, in order of appearance, with the most bytes
/// that they take of the budget.
pub async fn artifacts(
    connection: &mut PgConnection,
    wanted: &[(TaskKey, Seq)],
    budget: ReadBudget,
) -> DbResult<(HashMap<TaskKey, Vec<Artifact>>, u64)> {
    let heads = heads(connection, wanted).await?;
    let chunks: Vec<ChunkRange> = wanted
        .iter()
        .filter_map(|&(key, up_to)| {
            let begins = || heads.get(&key).into_iter().flatten().map(|start| start.newest);
            Some(ChunkRange { key, from: begins().min()?, up_to, sure_from: begins().max()? })
        })
        .collect();
    if chunks.is_empty() {
        return Ok((HashMap::new(), 0));
    }
    let mut assembled = AssembledArtifacts::new();
    let mut add = |key: TaskKey, seq: Seq, update: ArtifactUpdate| {
        let id = update.artifact.artifact_id.clone();
        let start = heads.get(&key).and_then(|all| all.iter().find(|start| start.id == id));
        let is_current = start.is_some_and(|start| seq >= start.newest);
        if is_current {
            update.apply_to(assembled.entry((key, id)).or_default());
        }
        is_current
    };
    let taken = match chunk_fit(connection, &chunks, budget).await? {
        ChunkFit::Fit(taken) => {
            for row in &rows(connection, &chunks).await? {
                let EntryBody::Artifact(update) = body(row)? else { continue };
                add(key(row)?, seq(row, "seq")?, update);
            }
            taken
        }
        // Replaced chunks may be among them, so count only what is used, page by page.
        ChunkFit::MayFit => {
            let all = budget.bytes().unwrap_or(u64::MAX);
            let mut left = all;
            for range in chunks {
                let mut take = |seq, update| add(range.key, seq, update);
                if !fold_chunks(connection, range, &mut left, &mut take).await? {
                    return Err(DbError::over(budget));
                }
            }
            all - left
        }
    };
    let ordered = |(key, start)| (key, in_order(key, start, &mut assembled));
    Ok((heads.into_iter().map(ordered).collect(), taken))
}

async fn rows(connection: &mut PgConnection, chunks: &[ChunkRange]) -> DbResult<Vec<PgRow>> {
    let rows = query(ARTIFACT_CHUNKS)
        .bind(chunks.iter().map(|range| range.key.owner.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|range| range.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(chunks.iter().map(|range| range.from.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|range| range.up_to.0).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

fn in_order(
    key: TaskKey,
    starts: Vec<ArtifactStart>,
    assembled: &mut AssembledArtifacts,
) -> Vec<Artifact> {
    starts
        .into_iter()
        .flat_map(|start| assembled.remove(&(key, start.id)).unwrap_or_default())
        .collect()
}

async fn heads(
    connection: &mut PgConnection,
    wanted: &[(TaskKey, Seq)],
) -> DbResult<HashMap<TaskKey, Vec<ArtifactStart>>> {
    let rows = query(ARTIFACT_HEADS)
        .bind(wanted.iter().map(|(key, _)| key.owner.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(key, _)| key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(wanted.iter().map(|(_, up_to)| up_to.0).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut heads: HashMap<TaskKey, Vec<ArtifactStart>> = HashMap::new();
    for row in &rows {
        let id = ArtifactId::new(column::<String>(row, "head")?)
            .map_err(|error| DbError::corrupt("column head of the log", error))?;
        heads.entry(key(row)?).or_default().push(ArtifactStart { id, newest: seq(row, "newest")? });
    }
    Ok(heads)
}

/// A range of chunks of one task.
///
/// From `sure_from` on every chunk belongs to its artifact; before it, replaced chunks may occur.
#[derive(Debug, Clone, Copy)]
struct ChunkRange {
    /// The task.
    key: TaskKey,
    /// First entry.
    from: Seq,
    /// Last entry.
    up_to: Seq,
    /// Start of the artifact that began last.
    sure_from: Seq,
}

/// Fit of chunks into a read budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkFit {
    /// They fit and take at most this many bytes; 0 means too few entries to measure.
    Fit(u64),
    /// They fit only if enough of them were replaced.
    MayFit,
}

/// Checks whether chunks fit into the budget; fails with [`DbError::TooLarge`] if they certainly do
/// not.
async fn chunk_fit(
    connection: &mut PgConnection,
    chunks: &[ChunkRange],
    budget: ReadBudget,
) -> DbResult<ChunkFit> {
    let Some(bytes) = budget.bytes() else { return Ok(ChunkFit::Fit(0)) };
    let entries: i64 = chunks.iter().map(|range| range.up_to.0 - range.from.0 + 1).sum();
    // So few entries cannot exceed the budget; skip the measurement.
    if entries.unsigned_abs().saturating_mul(MAX_ENTRY_CONTENT_BYTES as u64) <= bytes {
        return Ok(ChunkFit::Fit(0));
    }
    let row = query(MEASURE_CHUNKS)
        .bind(chunks.iter().map(|range| range.key.owner.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|range| range.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(chunks.iter().map(|range| range.from.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|range| range.up_to.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|range| range.sure_from.0).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    let size = |name| Ok::<_, DbError>(column::<i64>(&row, name)?.unsigned_abs());
    let (most, least) = (size("most")?, size("least")?);
    if least > bytes {
        Err(DbError::over(budget))
    } else if most > bytes {
        Ok(ChunkFit::MayFit)
    } else {
        Ok(ChunkFit::Fit(most))
    }
}

/// Reads the chunks of a task page by page.
///
/// `take` returns whether a chunk belongs to its artifact; if so, its bytes are subtracted from
/// `left`. Returns `false` when the budget is exhausted.
async fn fold_chunks(
    connection: &mut PgConnection,
    range: ChunkRange,
    left: &mut u64,
    mut take: impl FnMut(Seq, ArtifactUpdate) -> bool,
) -> DbResult<bool> {
    let mut after = Seq(range.from.0 - 1);
    while after < range.up_to {
        let cursors = BTreeMap::from([(range.key, after)]);
        let page = log::read(connection, &cursors, ReadLimit::default()).await?.remove(&range.key);
        let Some(page) = page.transpose()? else { break };
        let Some(last) = page.entries.last() else { break };
        after = last.seq;
        for entry in page.entries.into_iter().filter(|entry| entry.seq <= range.up_to) {
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
