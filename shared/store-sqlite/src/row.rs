//! From columns to domain types: what cannot be understood says which column it stood in.

use crate::error::{Fault, Result};
use longhaul_domain::{
    AgentName, ContextId, EntryBody, EntryKind, LogEntry, OwnerId, Seq, TaskId, TaskKey, TaskState,
    Timestamp,
};
use longhaul_store::StoreError;
use rusqlite::Row;
use std::{fmt::Display, str::FromStr};
use uuid::Uuid;

/// A column that cannot be understood.
pub fn corrupt(column: &str, cause: impl Display) -> Fault {
    StoreError::Corrupt { what: format!("column {column}"), cause: cause.to_string() }.into()
}

/// A column of text that is read into a type.
pub fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: &str) -> Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|e| corrupt(column, e))?;
    text.parse().map_err(|e: T::Err| corrupt(column, e))
}

pub fn token(row: &Row<'_>, column: &str) -> Result<Option<Uuid>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| Uuid::try_parse(&text).map_err(|e| corrupt(column, e))).transpose()
}

pub fn key(row: &Row<'_>) -> Result<TaskKey> {
    Ok(TaskKey { owner: OwnerId(row.get("owner_id")?), task: parsed::<TaskId>(row, "task")? })
}

pub fn agent(row: &Row<'_>) -> Result<AgentName> {
    parsed(row, "agent")
}

pub fn context(row: &Row<'_>) -> Result<ContextId> {
    ContextId::new(row.get::<_, String>("context_id")?).map_err(|e| corrupt("context_id", e))
}

pub fn state(row: &Row<'_>) -> Result<TaskState> {
    TaskState::from_number(row.get("state")?).ok_or_else(|| corrupt("state", "no such state"))
}

pub fn seq(row: &Row<'_>, column: &str) -> Result<Seq> {
    Ok(Seq(row.get(column)?))
}

pub fn time(row: &Row<'_>, column: &str) -> Result<Timestamp> {
    timestamp(row.get(column)?).ok_or_else(|| corrupt(column, "no such time"))
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

/// A body with its kind.
pub fn body(row: &Row<'_>) -> Result<EntryBody> {
    let kind = EntryKind::from_number(row.get("kind")?);
    let kind = kind.ok_or_else(|| corrupt("kind", "no such kind"))?;
    let text = row.get_ref("body")?.as_str().map_err(|e| corrupt("body", e))?;
    EntryBody::decode(kind, text).map_err(|e| corrupt("body", e))
}

/// A whole log entry.
pub fn entry(row: &Row<'_>) -> Result<LogEntry> {
    Ok(LogEntry {
        seq: seq(row, "seq")?,
        at: time(row, "at")?,
        attempt: row.get("attempt")?,
        body: body(row)?,
    })
}
