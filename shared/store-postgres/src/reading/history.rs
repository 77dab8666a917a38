//! What was said to and by one task, page by page from the newest message to the oldest. A page ends where its bytes end, so
//! what a run holds of a history is bounded whatever the history is.

use crate::{
    column::{body, column, seq},
    db::Db,
    failure::DbResult,
    reading::messages::newest,
};
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::{HistoryPage, HistoryQuery};
use sqlx_core::query::query;
use sqlx_postgres::PgRow;

/// The newest messages before a place. One whose bytes do not fit comes without its body, unless it is the newest. One row
/// more than asked for tells whether there are older ones.
pub const HISTORY: &str = concat!(
    "-- store::read_history
select s.seq, s.kind, s.schema, case when s.newest <= $6 or s.place = 1 then s.body end as body
from (
    select m.seq, m.kind, m.schema, m.body, row_number() over newest_first as place,
        sum(octet_length(m.body)) over newest_first as newest
    from (select $1::int4 as owner_id, $2::uuid as task_id, $3::int8 as up_to, $4::int8 as except_seq) w
    cross join lateral (
",
    newest!(),
    "    ) m
    window newest_first as (order by m.seq desc rows unbounded preceding)
) s
order by s.seq"
);

/// Reads one page.
pub async fn page(db: &Db, key: TaskKey, wanted: HistoryQuery) -> DbResult<HistoryPage> {
    let mut reader = db.reader().await?;
    let rows = wanted.rows.max(1);
    let found = query(HISTORY)
        .bind(key.owner.0)
        .bind(key.task.uuid())
        .bind(wanted.before.0 - 1)
        .bind(Seq::START.0)
        .bind(i64::from(rows) + 1)
        .bind(i64::try_from(wanted.bytes).unwrap_or(i64::MAX))
        .fetch_all(&mut *reader)
        .await?;
    reader.done();
    let mut kept = Vec::with_capacity(found.len());
    for row in &found {
        if column::<Option<&str>>(row, "body")?.is_some() {
            kept.push(row);
        }
    }
    let surplus = kept.len().saturating_sub(rows as usize);
    let entries = kept[surplus..].iter().map(|row| spoken(row)).collect::<DbResult<Vec<_>>>()?;
    Ok(HistoryPage { more: entries.len() < found.len(), entries })
}

fn spoken(row: &PgRow) -> DbResult<(Seq, longhaul_domain::EntryBody)> {
    Ok((seq(row, "seq")?, body(row)?))
}
