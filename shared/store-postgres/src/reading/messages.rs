//! Messages of many tasks: of the first 16 entries by looking at each, of those behind them through the small index of the entries
//! that bear one.

use crate::{
    column::{body, key, seq},
    failure::DbResult,
    reading::budget,
};
use longhaul_domain::{EntryBody, Seq, TaskKey};
use longhaul_store::ReadBudget;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// The newest messages of the task `w`, at most $5. Those of the beginning of a log are in no index but that of its keys.
macro_rules! newest {
    () => {
        "    (select l.seq, l.kind, l.schema, l.body::text as body
    from log l
    where l.owner_id = w.owner_id and l.task_id = w.task_id and l.speaks and l.seq > 16
        and l.seq <= w.up_to and l.seq <> w.except_seq
    order by l.seq desc
    limit $5)
    union all
    (select l.seq, l.kind, l.schema, l.body::text as body
    from log l
    where l.owner_id = w.owner_id and l.task_id = w.task_id and l.seq <= least(w.up_to, 16)
        and l.speaks and l.seq <> w.except_seq
    order by l.seq desc
    limit $5)
    order by seq desc
    limit $5
"
    };
}
pub(crate) use newest;

/// The newest messages of each task, in the order of the log.
pub const MESSAGES: &str = concat!(
    "-- store::messages
select w.owner_id, w.task_id, m.seq, m.kind, m.schema, m.body
from unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[]) as w (owner_id, task_id, up_to, except_seq)
cross join lateral (
",
    newest!(),
    ") m
order by w.owner_id, w.task_id, m.seq"
);

/// Which messages of a task.
#[derive(Debug, Clone, Copy)]
pub struct MessagesOf {
    /// The task.
    pub key: TaskKey,
    /// None after this entry.
    pub up_to: Seq,
    /// Not this one: the one in the status.
    pub except: Seq,
}

/// Entries that bear messages, in the order of the log.
pub type Speech = Vec<(Seq, EntryBody)>;

/// At most `limit` of the newest messages of each task. One that cannot be read spoils those of its task only.
pub async fn messages(
    connection: &mut PgConnection,
    wanted: &[MessagesOf],
    limit: u32,
) -> DbResult<HashMap<TaskKey, DbResult<Speech>>> {
    let rows = query(MESSAGES)
        .bind(wanted.iter().map(|of| of.key.owner.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|of| of.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(wanted.iter().map(|of| of.up_to.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|of| of.except.0).collect::<Vec<_>>())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    by_task(&rows, wanted.len())
}

/// The same, as many as there is room for.
pub async fn messages_within(
    connection: &mut PgConnection,
    wanted: &[MessagesOf],
    limit: u32,
    budget: ReadBudget,
) -> DbResult<HashMap<TaskKey, DbResult<Speech>>> {
    if budget == ReadBudget::Unlimited {
        return messages(connection, wanted, limit).await;
    }
    by_task(&budget::messages(connection, wanted, limit, budget).await?, wanted.len())
}

fn by_task(rows: &[PgRow], tasks: usize) -> DbResult<HashMap<TaskKey, DbResult<Speech>>> {
    let mut found: HashMap<TaskKey, DbResult<Speech>> = HashMap::with_capacity(tasks);
    for row in rows {
        let speech = found.entry(key(row)?).or_insert_with(|| Ok(Vec::new()));
        if let Ok(items) = speech {
            match spoken(row) {
                Ok(item) => items.push(item),
                Err(failure) => *speech = Err(failure),
            }
        }
    }
    Ok(found)
}

fn spoken(row: &PgRow) -> DbResult<(Seq, EntryBody)> {
    Ok((seq(row, "seq")?, body(row)?))
}
