//! Reads pages of logs, of one task or of many with one statement.

use crate::{
    column::{EntryRow, column, key, seq, state},
    error::DbResult,
};
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::{LogPage, ReadLimit};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Reads the entries after a sequence for each task, up to a number of rows and bytes but at least
/// one. A task without such entries gets one row without an entry.
pub const READ_LOGS: &str = "-- store::read_logs
select s.owner_id, s.task_id, s.last_seq, s.state, e.seq, e.at, e.attempt, e.kind, e.schema, e.body
from unnest($1::int4[], $2::uuid[], $3::int8[]) as w (owner_id, task_id, after)
cross join lateral (
    select s.owner_id, s.task_id, s.last_seq, s.state
    from task_state s where s.owner_id = w.owner_id and s.task_id = w.task_id offset 0
) s
left join lateral (
    select page.*
    from (
        select entry.*, sum(octet_length(entry.body)) over (
            order by entry.seq rows between unbounded preceding and 1 preceding
        ) as before
        from (
            select l.seq, l.at, l.attempt, l.kind, l.schema, l.body::text as body
            from log l
            where l.owner_id = w.owner_id and l.task_id = w.task_id and l.seq > w.after
            order by l.seq
            limit $4
        ) entry
    ) page
    where page.before is null or page.before < $5
) e on true
order by s.owner_id, s.task_id, e.seq";

/// Pages of many logs; each may be unreadable.
pub type LogPages = BTreeMap<TaskKey, DbResult<LogPage>>;

/// Reads a page for each existing task. An unreadable entry spoils only its own task's page.
pub async fn read(
    connection: &mut PgConnection,
    cursors: &BTreeMap<TaskKey, Seq>,
    limit: ReadLimit,
) -> DbResult<LogPages> {
    let rows = query(READ_LOGS)
        .bind(cursors.keys().map(|key| key.owner.0).collect::<Vec<_>>())
        .bind(cursors.keys().map(|key| key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(cursors.values().map(|after| after.0).collect::<Vec<_>>())
        .bind(i64::from(limit.rows.max(1)))
        .bind(i64::try_from(limit.bytes).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let mut pages: LogPages = BTreeMap::new();
    for row in &rows {
        let key = key(row)?;
        // The first row of a task carries its state, also when it has no entry.
        let page = match pages.remove(&key) {
            Some(page) => page,
            None => empty_page(row),
        };
        pages.insert(key, page.and_then(|page| with_entry(page, row)));
    }
    Ok(pages)
}

fn empty_page(row: &PgRow) -> DbResult<LogPage> {
    Ok(LogPage { entries: Vec::new(), last_seq: seq(row, "last_seq")?, state: state(row)? })
}

fn with_entry(mut page: LogPage, row: &PgRow) -> DbResult<LogPage> {
    if column::<Option<i64>>(row, "seq")?.is_some() {
        page.entries.push(EntryRow::try_from(row)?.0);
    }
    Ok(page)
}
