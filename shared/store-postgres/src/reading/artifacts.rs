//! Artifacts of many tasks: where each begins comes from the first 16 entries and behind them from a small index, its chunks from
//! the log behind that place.

use crate::{
    column::{body, column, key, seq},
    failure::{DbResult, Failure},
    reading::budget::{self, Chunks, Known, exceeded, one_by_one},
};
use longhaul_domain::{Artifact, ArtifactId, ArtifactUpdate, EntryBody, Seq, TaskKey};
use longhaul_store::ReadBudget;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// Where each artifact began first and last. The order of the later ones is that of the small index.
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

/// The chunks of each task from one entry to another, in the order of the log. The log's key gives each task's in order; to sort
/// them all would take them to the disk.
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

/// An artifact and the entry with which its present content begins.
struct Begun {
    id: ArtifactId,
    newest: Seq,
}

/// Artifacts that are being put together.
type Built = HashMap<(TaskKey, ArtifactId), Vec<Artifact>>;

/// The artifacts of each task, as they are at the given entry, in the order in which they appeared, and how much of the room
/// they take at most.
pub async fn artifacts(
    connection: &mut PgConnection,
    wanted: &[(TaskKey, Seq)],
    budget: ReadBudget,
) -> DbResult<(HashMap<TaskKey, Vec<Artifact>>, u64)> {
    let heads = heads(connection, wanted).await?;
    let chunks: Vec<Chunks> = wanted
        .iter()
        .filter_map(|&(key, up_to)| {
            let begins = || heads.get(&key).into_iter().flatten().map(|begun| begun.newest);
            Some(Chunks { key, from: begins().min()?, up_to, sure_from: begins().max()? })
        })
        .collect();
    if chunks.is_empty() {
        return Ok((HashMap::new(), 0));
    }
    let mut built = Built::new();
    let mut add = |key: TaskKey, seq: Seq, update: ArtifactUpdate| {
        let id = update.artifact.artifact_id.clone();
        let begun = heads.get(&key).and_then(|all| all.iter().find(|begun| begun.id == id));
        let stays = begun.is_some_and(|begun| seq >= begun.newest);
        if stays {
            update.apply_to(built.entry((key, id)).or_default());
        }
        stays
    };
    let taken = match budget::known(connection, &chunks, budget).await? {
        Known::Fit(taken) => {
            for row in &rows(connection, &chunks).await? {
                let EntryBody::Artifact(update) = body(row)? else { continue };
                add(key(row)?, seq(row, "seq")?, update);
            }
            taken
        }
        Known::MayFit => {
            let all = budget.bytes().unwrap_or(u64::MAX);
            let mut left = all;
            for of in chunks {
                let mut take = |seq, update| add(of.key, seq, update);
                if !one_by_one(connection, of, &mut left, &mut take).await? {
                    return Err(exceeded(budget));
                }
            }
            all - left
        }
    };
    let ordered = |(key, begun)| (key, in_order(key, begun, &mut built));
    Ok((heads.into_iter().map(ordered).collect(), taken))
}

async fn rows(connection: &mut PgConnection, chunks: &[Chunks]) -> DbResult<Vec<PgRow>> {
    let rows = query(ARTIFACT_CHUNKS)
        .bind(chunks.iter().map(|of| of.key.owner.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|of| of.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(chunks.iter().map(|of| of.from.0).collect::<Vec<_>>())
        .bind(chunks.iter().map(|of| of.up_to.0).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

fn in_order(key: TaskKey, begun: Vec<Begun>, built: &mut Built) -> Vec<Artifact> {
    begun.into_iter().flat_map(|begun| built.remove(&(key, begun.id)).unwrap_or_default()).collect()
}

async fn heads(
    connection: &mut PgConnection,
    wanted: &[(TaskKey, Seq)],
) -> DbResult<HashMap<TaskKey, Vec<Begun>>> {
    let rows = query(ARTIFACT_HEADS)
        .bind(wanted.iter().map(|(key, _)| key.owner.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(key, _)| key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(wanted.iter().map(|(_, up_to)| up_to.0).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut heads: HashMap<TaskKey, Vec<Begun>> = HashMap::new();
    for row in &rows {
        let id = ArtifactId::new(column::<String>(row, "head")?)
            .map_err(|error| Failure::corrupt("column head of the log", error))?;
        heads.entry(key(row)?).or_default().push(Begun { id, newest: seq(row, "newest")? });
    }
    Ok(heads)
}
