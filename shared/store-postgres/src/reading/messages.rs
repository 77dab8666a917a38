//! Messages of many tasks, and the history of one.
//!
//! Messages among the first 16 entries are found by scanning those; later ones by a partial index.
//! A history page ends at its byte limit, so a run's memory stays bounded. A budget trims or fails
//! the read before the server sends too much.

use crate::{
    column::{body, column, key, seq},
    db::Db,
    error::{DbError, DbResult},
};
use longhaul_domain::{EntryBody, Seq, TaskKey};
use longhaul_store::{HistoryPage, HistoryQuery, ReadBudget};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// The newest messages of task `w`, at most $5. The first 16 entries are not in the partial index.
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

/// Reads the newest messages of each task, in log order.
pub const READ_MESSAGES: &str = concat!(
    "-- store::read_messages
select w.owner_id, w.task_id, m.seq, m.kind, m.schema, m.body
from unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[]) as w (owner_id, task_id, up_to, except_seq)
cross join lateral (
",
    newest!(),
    ") m
order by w.owner_id, w.task_id, m.seq"
);

/// Reads the newest messages of each task, in log order. All bodies are returned if they fit into
/// $6 bytes together; otherwise, for each task, the newest that fit into $7.
pub const READ_MESSAGES_IN_BUDGET: &str = concat!(
    "-- store::read_messages_in_budget
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

/// Reads the newest messages before a sequence. A message that exceeds the bytes has no body,
/// except the newest. One row more than requested shows whether older ones exist.
pub const READ_HISTORY: &str = concat!(
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

/// A range of messages of one task.
#[derive(Debug, Clone, Copy)]
pub struct MessageRange {
    /// The task.
    pub key: TaskKey,
    /// Last entry to include.
    pub up_to: Seq,
    /// Entry to exclude: the one shown in the status.
    pub except: Seq,
}

/// Entries with messages, in log order.
pub type MessageEntries = Vec<(Seq, EntryBody)>;

/// Reads at most `limit` of the newest messages of each task. An unreadable one spoils only its own
/// task's.
pub async fn messages(
    connection: &mut PgConnection,
    wanted: &[MessageRange],
    limit: u32,
) -> DbResult<HashMap<TaskKey, DbResult<MessageEntries>>> {
    let rows = query(READ_MESSAGES)
        .bind(wanted.iter().map(|range| range.key.owner.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|range| range.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(wanted.iter().map(|range| range.up_to.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|range| range.except.0).collect::<Vec<_>>())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    by_task(&rows, wanted.len())
}

/// Reads messages like [`messages`], within a budget.
pub async fn messages_in_budget(
    connection: &mut PgConnection,
    wanted: &[MessageRange],
    limit: u32,
    budget: ReadBudget,
) -> DbResult<HashMap<TaskKey, DbResult<MessageEntries>>> {
    if budget == ReadBudget::Unlimited {
        return messages(connection, wanted, limit).await;
    }
    by_task(&rows_in_budget(connection, wanted, limit, budget).await?, wanted.len())
}

/// Reads one page of a task's history.
pub async fn history_page(db: &Db, key: TaskKey, wanted: HistoryQuery) -> DbResult<HistoryPage> {
    let mut reader = db.reader().await?;
    let rows = wanted.rows.max(1);
    let found = query(READ_HISTORY)
        .bind(key.owner.0)
        .bind(key.task.uuid())
        .bind(wanted.before.0 - 1)
        .bind(Seq::START.0)
        .bind(i64::from(rows) + 1)
        .bind(i64::try_from(wanted.bytes).unwrap_or(i64::MAX))
        .fetch_all(&mut *reader)
        .await?;
    reader.release();
    let mut kept = Vec::with_capacity(found.len());
    for row in &found {
        if column::<Option<&str>>(row, "body")?.is_some() {
            kept.push(row);
        }
    }
    // The extra row only shows that older messages exist.
    let surplus = kept.len().saturating_sub(rows as usize);
    let entries =
        kept[surplus..].iter().map(|row| message_entry(row)).collect::<DbResult<Vec<_>>>()?;
    Ok(HistoryPage { more: entries.len() < found.len(), entries })
}

/// Reads the rows of the newest messages that fit into the budget.
async fn rows_in_budget(
    connection: &mut PgConnection,
    wanted: &[MessageRange],
    limit: u32,
    budget: ReadBudget,
) -> DbResult<Vec<PgRow>> {
    let bytes = i64::try_from(budget.bytes().unwrap_or(u64::MAX)).unwrap_or(i64::MAX);
    let share = match budget {
        ReadBudget::Unlimited | ReadBudget::Strict(_) => -1,
        ReadBudget::TrimHistory(_) => {
            // Each task gets an equal share if not all messages fit.
            bytes / i64::try_from(wanted.len()).unwrap_or(i64::MAX).max(1)
        }
    };
    let mut rows = query(READ_MESSAGES_IN_BUDGET)
        .bind(wanted.iter().map(|range| range.key.owner.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|range| range.key.task.uuid()).collect::<Vec<Uuid>>())
        .bind(wanted.iter().map(|range| range.up_to.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|range| range.except.0).collect::<Vec<_>>())
        .bind(i64::from(limit))
        .bind(bytes)
        .bind(share)
        .fetch_all(connection)
        .await?;
    let all = rows.len();
    // Rows without a body did not fit.
    rows.retain(|row| !matches!(column::<Option<&str>>(row, "body"), Ok(None)));
    if rows.len() < all && matches!(budget, ReadBudget::Strict(_)) {
        Err(DbError::over(budget))
    } else {
        Ok(rows)
    }
}

fn by_task(rows: &[PgRow], tasks: usize) -> DbResult<HashMap<TaskKey, DbResult<MessageEntries>>> {
    let mut found: HashMap<TaskKey, DbResult<MessageEntries>> = HashMap::with_capacity(tasks);
    for row in rows {
        let messages_of_task = found.entry(key(row)?).or_insert_with(|| Ok(Vec::new()));
        if let Ok(items) = messages_of_task {
            match message_entry(row) {
                Ok(item) => items.push(item),
                Err(failure) => *messages_of_task = Err(failure),
            }
        }
    }
    Ok(found)
}

fn message_entry(row: &PgRow) -> DbResult<(Seq, EntryBody)> {
    Ok((seq(row, "seq")?, body(row)?))
}
