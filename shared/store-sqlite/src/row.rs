//! Conversions from columns to domain types; an error names the column.
//!
//! Statements that run for every task address their columns by index, which avoids a search by
//! name.

use crate::error::{DbResult, SqliteError};
use longhaul_domain::{
    AgentName, ContextId, EntryBody, EntryKind, LogEntry, OwnerId, Seq, TaskId, TaskKey, TaskState,
    Timestamp,
};
use longhaul_store::StoreError;
use rusqlite::{Row, RowIndex};
use std::{fmt::Display, str::FromStr};
use uuid::Uuid;

/// A column, by name or by index.
pub trait Column: RowIndex + Copy {
    /// Returns its name.
    fn name(self, row: &Row<'_>) -> String;
}

impl Column for &str {
    fn name(self, _: &Row<'_>) -> String {
        self.to_owned()
    }
}

impl Column for usize {
    fn name(self, row: &Row<'_>) -> String {
        row.as_ref().column_name(self).map_or_else(|_| self.to_string(), str::to_owned)
    }
}

/// Reports a column of this row that cannot be read.
fn corrupt_in(row: &Row<'_>, column: impl Column, cause: impl Display) -> SqliteError {
    corrupt(&column.name(row), cause)
}

/// Reports a column that cannot be read.
pub fn corrupt(column: &str, cause: impl Display) -> SqliteError {
    StoreError::Corrupt { what: format!("column {column}"), cause: cause.to_string() }.into()
}

/// Parses a text column.
pub fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: impl Column) -> DbResult<T> {
    let text = row.get_ref(column)?.as_str().map_err(|e| corrupt_in(row, column, e))?;
    text.parse().map_err(|e: T::Err| corrupt_in(row, column, e))
}

pub fn token(row: &Row<'_>, column: impl Column) -> DbResult<Option<Uuid>> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|e| corrupt_in(row, column, e))?;
    text.map(|text| Uuid::try_parse(text).map_err(|e| corrupt_in(row, column, e))).transpose()
}

pub fn key(row: &Row<'_>) -> DbResult<TaskKey> {
    Ok(TaskKey { owner: OwnerId(row.get("owner_id")?), task: parsed::<TaskId>(row, "task")? })
}

/// Reads the task key from the first two columns.
pub fn key_at(row: &Row<'_>) -> DbResult<TaskKey> {
    Ok(TaskKey { owner: OwnerId(row.get(0)?), task: parsed::<TaskId>(row, 1)? })
}

pub fn agent(row: &Row<'_>) -> DbResult<AgentName> {
    parsed(row, "agent")
}

pub fn context(row: &Row<'_>, column: impl Column) -> DbResult<ContextId> {
    ContextId::new(row.get::<_, String>(column)?).map_err(|e| corrupt_in(row, column, e))
}

pub fn state(row: &Row<'_>, column: impl Column) -> DbResult<TaskState> {
    let state = TaskState::from_number(row.get(column)?);
    state.ok_or_else(|| corrupt_in(row, column, "no such state"))
}

pub fn seq(row: &Row<'_>, column: impl Column) -> DbResult<Seq> {
    Ok(Seq(row.get(column)?))
}

pub fn time(row: &Row<'_>, column: impl Column) -> DbResult<Timestamp> {
    timestamp(row.get(column)?).ok_or_else(|| corrupt_in(row, column, "no such time"))
}

/// Converts milliseconds since 1970.
pub fn timestamp(millis: i64) -> Option<Timestamp> {
    Timestamp::from_timestamp_millis(millis)
}

/// Rounds a time up to a whole millisecond.
pub fn not_before(at: Timestamp) -> i64 {
    at.timestamp_millis() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1_000_000))
}

/// Converts a duration to milliseconds; longer ones are capped at a hundred thousand years.
pub fn millis(duration: std::time::Duration) -> i64 {
    // Later times could not be written as dates any longer.
    const LONGEST: i64 = 100_000 * 366 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

/// Reads a body and its kind from these columns.
pub fn body(row: &Row<'_>, kind: usize, body: usize) -> DbResult<EntryBody> {
    let number = EntryKind::from_number(row.get(kind)?);
    let kind = number.ok_or_else(|| corrupt_in(row, kind, "no such kind"))?;
    let text = row.get_ref(body)?.as_str().map_err(|e| corrupt_in(row, body, e))?;
    EntryBody::decode(kind, text).map_err(|e| corrupt_in(row, body, e))
}

/// Returns the length of a body in bytes.
pub fn body_len(row: &Row<'_>, body: usize) -> DbResult<u64> {
    let text = row.get_ref(body)?.as_str().map_err(|e| corrupt_in(row, body, e))?;
    Ok(text.len() as u64)
}

/// Reads a log entry from the columns seq, at, attempt, kind and body, in this order.
pub fn entry(row: &Row<'_>) -> DbResult<LogEntry> {
    Ok(LogEntry {
        seq: seq(row, 0)?,
        at: time(row, 1)?,
        attempt: row.get(2)?,
        body: body(row, 3, 4)?,
    })
}
