//! Artifacts of many tasks: where each begins comes from the first 16 entries and behind them from a small index, its chunks from
//! the log behind that place.

use crate::{
    column::{body, column, key, seq},
    failure::{DbResult, Failure},
};
use longhaul_domain::{Artifact, ArtifactId, EntryBody, Seq, TaskKey};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
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

/// The artifacts of each task, as they are at the given entry, in the order in which they appeared.
pub async fn artifacts(
    connection: &mut PgConnection,
    wanted: &[(TaskKey, Seq)],
) -> DbResult<HashMap<TaskKey, Vec<Artifact>>> {
    let heads = heads(connection, wanted).await?;
    let ranges: Vec<(TaskKey, Seq, Seq)> = wanted
        .iter()
        .filter_map(|&(key, up_to)| {
            let from = heads.get(&key)?.iter().map(|begun| begun.newest).min()?;
            Some((key, from, up_to))
        })
        .collect();
    if ranges.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = query(ARTIFACT_CHUNKS)
        .bind(ranges.iter().map(|(key, ..)| key.owner.0).collect::<Vec<_>>())
        .bind(ranges.iter().map(|(key, ..)| key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(ranges.iter().map(|(_, from, _)| from.0).collect::<Vec<_>>())
        .bind(ranges.iter().map(|(.., up_to)| up_to.0).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut built: HashMap<(TaskKey, ArtifactId), Vec<Artifact>> = HashMap::new();
    for row in &rows {
        let (key, seq) = (key(row)?, seq(row, "seq")?);
        let EntryBody::Artifact(update) = body(row)? else { continue };
        let id = update.artifact.artifact_id.clone();
        let begun = heads.get(&key).and_then(|all| all.iter().find(|begun| begun.id == id));
        if begun.is_some_and(|begun| seq >= begun.newest) {
            update.apply_to(built.entry((key, id)).or_default());
        }
    }
    Ok(heads.into_iter().map(|(key, begun)| (key, in_order(key, begun, &mut built))).collect())
}

fn in_order(
    key: TaskKey,
    begun: Vec<Begun>,
    built: &mut HashMap<(TaskKey, ArtifactId), Vec<Artifact>>,
) -> Vec<Artifact> {
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
