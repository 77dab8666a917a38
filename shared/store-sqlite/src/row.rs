//! From columns to domain types: what cannot be understood says which column it stood in.
//!
//! Statements that run for every task name their columns by place, so that no name is searched for.

use crate::error::{Fault, Result};
use longhaul_domain::{
    AgentName, ContextId, EntryBody, EntryKind, LogEntry, OwnerId, Seq, TaskId, TaskKey, TaskState,
    Timestamp,
};
use longhaul_store::StoreError;
use rusqlite::{Row, RowIndex};
use std::{fmt::Display, str::FromStr};
use uuid::Uuid;

/// Which column: its name, or its place.
pub trait Column: RowIndex + Copy {
    /// What it is called.
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

/// The same of a column of a row.
fn corrupt_in(row: &Row<'_>, column: impl Column, cause: impl Display) -> Fault {
    corrupt(&column.name(row), cause)
}

/// A column that cannot be understood.
pub fn corrupt(column: &str, cause: impl Display) -> Fault {
    StoreError::Corrupt { what: format!("column {column}"), cause: cause.to_string() }.into()
}

/// A column of text that is read into a type.
pub fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: impl Column) -> Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|e| corrupt_in(row, column, e))?;
    text.parse().map_err(|e: T::Err| corrupt_in(row, column, e))
}

pub fn token(row: &Row<'_>, column: impl Column) -> Result<Option<Uuid>> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|e| corrupt_in(row, column, e))?;
    text.map(|text| Uuid::try_parse(text).map_err(|e| corrupt_in(row, column, e))).transpose()
}

pub fn key(row: &Row<'_>) -> Result<TaskKey> {
    Ok(TaskKey { owner: OwnerId(row.get("owner_id")?), task: parsed::<TaskId>(row, "task")? })
}

/// The same from the first two columns.
pub fn key_at(row: &Row<'_>) -> Result<TaskKey> {
    Ok(TaskKey { owner: OwnerId(row.get(0)?), task: parsed::<TaskId>(row, 1)? })
}

pub fn agent(row: &Row<'_>) -> Result<AgentName> {
    parsed(row, "agent")
}

pub fn context(row: &Row<'_>, column: impl Column) -> Result<ContextId> {
    ContextId::new(row.get::<_, String>(column)?).map_err(|e| corrupt_in(row, column, e))
}

pub fn state(row: &Row<'_>, column: impl Column) -> Result<TaskState> {
    let state = TaskState::from_number(row.get(column)?);
    state.ok_or_else(|| corrupt_in(row, column, "no such state"))
}

pub fn seq(row: &Row<'_>, column: impl Column) -> Result<Seq> {
    Ok(Seq(row.get(column)?))
}

pub fn time(row: &Row<'_>, column: impl Column) -> Result<Timestamp> {
    timestamp(row.get(column)?).ok_or_else(|| corrupt_in(row, column, "no such time"))
}

/// A time from milliseconds since 1970.
pub fn timestamp(millis: i64) -> Option<Timestamp> {
    Timestamp::from_timestamp_millis(millis)
}

/// The first whole millisecond that is not before a time.
pub fn not_before(at: Timestamp) -> i64 {
    at.timestamp_millis() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1_000_000))
}

/// A length of time in milliseconds; what is longer than the world counts as that.
pub fn millis(duration: std::time::Duration) -> i64 {
    // A hundred thousand years: later times could not be written as dates any more.
    const LONGEST: i64 = 100_000 * 366 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

/// A body with its kind, at these two places.
pub fn body(row: &Row<'_>, kind: usize, body: usize) -> Result<EntryBody> {
    let number = EntryKind::from_number(row.get(kind)?);
    let kind = number.ok_or_else(|| corrupt_in(row, kind, "no such kind"))?;
    let text = row.get_ref(body)?.as_str().map_err(|e| corrupt_in(row, body, e))?;
    EntryBody::decode(kind, text).map_err(|e| corrupt_in(row, body, e))
}

/// Bytes of the body at this place.
pub fn body_len(row: &Row<'_>, body: usize) -> Result<u64> {
    let text = row.get_ref(body)?.as_str().map_err(|e| corrupt_in(row, body, e))?;
    Ok(text.len() as u64)
}

/// A whole log entry, from the columns seq, at, attempt, kind and body in this order.
pub fn entry(row: &Row<'_>) -> Result<LogEntry> {
    Ok(LogEntry {
        seq: seq(row, 0)?,
        at: time(row, 1)?,
        attempt: row.get(2)?,
        body: body(row, 3, 4)?,
    })
}
