//! Message history, page by page from the newest message to the oldest. A page is bounded in bytes,
//! so a run holds a bounded part of any history.

use crate::{db::statements, error::DbResult, row};
use longhaul_domain::TaskKey;
use longhaul_store::{HistoryPage, HistoryQuery};
use rusqlite::Connection;

statements! {
    // SQLite knows the length of a text without reading it.
    MESSAGES = "-- store::read_history
        SELECT seq, kind, body FROM log
        WHERE owner_id = ?1 AND task = ?2 AND says = 1 AND seq < ?3 ORDER BY seq DESC LIMIT ?4";
}

/// Reads the newest messages before a position.
pub fn page(conn: &Connection, key: TaskKey, query: HistoryQuery) -> DbResult<HistoryPage> {
    let mut page = HistoryPage::default();
    let mut statement = conn.prepare_cached(MESSAGES)?;
    // One more row tells whether there are older messages.
    let limit = i64::from(query.rows.max(1)) + 1;
    let mut rows = statement.query((key.owner.0, key.task.to_string(), query.before.0, limit))?;
    let mut left = query.bytes;
    while let Some(row) = rows.next()? {
        let bytes = row::body_len(row, 2)?;
        let full = page.entries.len() >= query.rows.max(1) as usize;
        if full || (bytes > left && !page.entries.is_empty()) {
            page.more = true;
            break;
        }
        left = left.saturating_sub(bytes);
        page.entries.push((row::seq(row, 0)?, row::body(row, 1, 2)?));
    }
    page.entries.reverse();
    Ok(page)
}
