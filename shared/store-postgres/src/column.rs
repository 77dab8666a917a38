//! Reading columns: whatever cannot be understood names its column.

use crate::failure::{DbResult, Failure};
use longhaul_domain::{
    AgentName, ContextId, EntryBody, EntryKind, LogEntry, OwnerId, Seq, TaskId, TaskKey, TaskState,
};
use sqlx_core::{decode::Decode, row::Row, types::Type};
use sqlx_postgres::{PgRow, Postgres};
use uuid::Uuid;

/// One column.
pub fn column<'r, T>(row: &'r PgRow, name: &'static str) -> DbResult<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(name).map_err(|error| Failure::corrupt(format!("column {name}"), error))
}

/// Owner and task.
pub fn key(row: &PgRow) -> DbResult<TaskKey> {
    Ok(TaskKey {
        owner: OwnerId(column(row, "owner_id")?),
        task: TaskId::new(column::<Uuid>(row, "task_id")?),
    })
}

/// A task's state.
pub fn state(row: &PgRow) -> DbResult<TaskState> {
    let number: i16 = column(row, "state")?;
    TaskState::from_number(number)
        .ok_or_else(|| Failure::corrupt("column state", format!("{number} is no state")))
}

/// An agent's name.
pub fn agent(row: &PgRow) -> DbResult<AgentName> {
    AgentName::new(column::<String>(row, "agent")?)
        .map_err(|error| Failure::corrupt("column agent", error))
}

/// A conversation.
pub fn context(row: &PgRow) -> DbResult<ContextId> {
    ContextId::new(column::<String>(row, "context_id")?)
        .map_err(|error| Failure::corrupt("column context_id", error))
}

/// A place in the log.
pub fn seq(row: &PgRow, name: &'static str) -> DbResult<Seq> {
    column(row, name).map(Seq)
}

/// The version of the stored form of bodies that this program writes and reads.
pub const BODY_SCHEMA: i16 = 1;

/// What an entry says, from the columns kind, schema and body.
pub fn body(row: &PgRow) -> DbResult<EntryBody> {
    let schema: i16 = column(row, "schema")?;
    if schema != BODY_SCHEMA {
        return Err(Failure::corrupt("column schema", format!("{schema} is not known")));
    }
    let number: i16 = column(row, "kind")?;
    let kind = EntryKind::from_number(number)
        .ok_or_else(|| Failure::corrupt("column kind", format!("{number} is no kind")))?;
    EntryBody::decode(kind, column(row, "body")?)
        .map_err(|error| Failure::corrupt("column body of the log", error))
}

/// A log entry of a row.
pub struct EntryRow(pub LogEntry);

impl TryFrom<&PgRow> for EntryRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self(LogEntry {
            seq: seq(row, "seq")?,
            at: column(row, "at")?,
            attempt: column(row, "attempt")?,
            body: body(row)?,
        }))
    }
}
