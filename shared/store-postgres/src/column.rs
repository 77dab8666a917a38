//! Typed reading of columns. An error names the column that could not be decoded.

use crate::error::{DbError, DbResult};
use longhaul_domain::{
    AgentName, ContextId, EntryBody, EntryKind, LogEntry, OwnerId, Seq, TaskId, TaskKey, TaskState,
};
use sqlx_core::{decode::Decode, row::Row, types::Type};
use sqlx_postgres::{PgRow, Postgres};
use uuid::Uuid;

/// Reads one column.
pub fn column<'r, T>(row: &'r PgRow, name: &'static str) -> DbResult<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(name).map_err(|error| DbError::corrupt(format!("column {name}"), error))
}

/// Reads the task key from `owner_id` and `task_id`.
pub fn key(row: &PgRow) -> DbResult<TaskKey> {
    Ok(TaskKey {
        owner: OwnerId(column(row, "owner_id")?),
        task: TaskId::new(column::<Uuid>(row, "task_id")?),
    })
}

/// Reads the task state.
pub fn state(row: &PgRow) -> DbResult<TaskState> {
    let number: i16 = column(row, "state")?;
    TaskState::from_number(number)
        .ok_or_else(|| DbError::corrupt("column state", format!("{number} is no state")))
}

/// Reads the agent's name.
pub fn agent(row: &PgRow) -> DbResult<AgentName> {
    AgentName::new(column::<String>(row, "agent")?)
        .map_err(|error| DbError::corrupt("column agent", error))
}

/// Reads the context id.
pub fn context(row: &PgRow) -> DbResult<ContextId> {
    ContextId::new(column::<String>(row, "context_id")?)
        .map_err(|error| DbError::corrupt("column context_id", error))
}

/// Reads a log sequence number.
pub fn seq(row: &PgRow, name: &'static str) -> DbResult<Seq> {
    column(row, name).map(Seq)
}

/// Version of the stored body format that this program reads and writes.
pub const BODY_SCHEMA: i16 = 1;

/// Decodes a log entry's body from the columns `kind`, `schema` and `body`.
pub fn body(row: &PgRow) -> DbResult<EntryBody> {
    let schema: i16 = column(row, "schema")?;
    if schema != BODY_SCHEMA {
        return Err(DbError::corrupt("column schema", format!("{schema} is not known")));
    }
    let number: i16 = column(row, "kind")?;
    let kind = EntryKind::from_number(number)
        .ok_or_else(|| DbError::corrupt("column kind", format!("{number} is no kind")))?;
    EntryBody::decode(kind, column(row, "body")?)
        .map_err(|error| DbError::corrupt("column body of the log", error))
}

/// A log entry decoded from a row.
pub struct EntryRow(pub LogEntry);

impl TryFrom<&PgRow> for EntryRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self(LogEntry {
            seq: seq(row, "seq")?,
            at: column(row, "at")?,
            attempt: column(row, "attempt")?,
            body: body(row)?,
        }))
    }
}
