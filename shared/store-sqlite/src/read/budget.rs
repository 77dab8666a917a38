//! The read budget of a snapshot. The sizes of artifacts are added up before any is read, and
//! messages are read until the budget is used up.

use crate::{db::statements, error::DbResult, row};
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::ReadBudget;
use rusqlite::Connection;
use std::collections::HashMap;

statements! {
    // SQLite knows the length of a text without reading it.
    SIZES = "-- store::read_task
        SELECT artifact_id, seq, octet_length(body) FROM log
        WHERE owner_id = ?1 AND task = ?2 AND seq >= ?3 AND kind = 3";
}

/// Rest of a read budget while the parts of a snapshot are read.
#[derive(Debug, Clone, Copy)]
pub struct RemainingBudget(pub ReadBudget);

impl RemainingBudget {
    /// Takes bytes from the budget; `false`: they do not fit.
    pub fn take(&mut self, bytes: u64) -> bool {
        let fits = self.0.bytes().is_none_or(|left| bytes <= left);
        if fits {
            self.0 = self.0.without(bytes);
        }
        fits
    }

    /// Takes the chunks that make up the current artifacts of a task: of each artifact those since
    /// it last began.
    pub fn take_artifacts(
        &mut self,
        conn: &Connection,
        key: TaskKey,
        from: Seq,
        begins: &HashMap<&str, Seq>,
    ) -> DbResult<()> {
        if matches!(self.0, ReadBudget::Unlimited) {
            return Ok(());
        }
        let budget = self.0;
        let mut statement = conn.prepare_cached(SIZES)?;
        let mut rows = statement.query((key.owner.0, key.task.to_string(), from.0))?;
        while let Some(row) = rows.next()? {
            let id = row.get_ref(0)?.as_str_or_null().ok().flatten();
            let seq = row::seq(row, 1)?;
            let stays = id.and_then(|id| begins.get(id)).is_some_and(|begin| seq >= *begin);
            let bytes = row.get::<_, i64>(2)?.unsigned_abs();
            if stays && !self.take(bytes) {
                return Err(budget.exceeded().into());
            }
        }
        Ok(())
    }
}
