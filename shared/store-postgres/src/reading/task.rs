//! Reads one task, and completes tasks with messages and artifacts.

use crate::{
    column::{agent, body, column, context, key, seq, state},
    error::{DbError, DbResult},
    reading::{
        artifacts::artifacts,
        messages::{MessageRange, messages_in_budget},
    },
};
use longhaul_domain::{HistoryItem, Message, Seq, Task, TaskKey, TaskStatus};
use longhaul_store::SnapshotOptions;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};

/// Reads a task without messages and artifacts; the status message comes from the entry that set
/// the status.
///
/// Looks that entry up by its full key: in a plain join the planner may filter by `seq`, as most
/// logs are short, and scan a long log.
pub const READ_TASK: &str = "-- store::read_task
select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, t.agent, t.context_id, t.created_at,
    l.kind, l.schema, l.body::text as body
from task_state s
cross join lateral (
    select t.agent, t.context_id, t.created_at from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id offset 0
) t
left join lateral (
    select l.kind, l.schema, l.body from log l
    where l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq
    offset 0
) l on true
where s.owner_id = $1 and s.task_id = $2";

/// Reads one task.
pub async fn read(
    connection: &mut PgConnection,
    key: TaskKey,
    options: SnapshotOptions,
) -> DbResult<Option<Task>> {
    let row = query(READ_TASK)
        .bind(key.owner.0)
        .bind(key.task.uuid())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut tasks = vec![TaskRow::try_from(&row)?.0];
    fill(connection, &mut tasks, options).await?;
    Ok(tasks.pop())
}

/// Adds messages and artifacts to tasks, with a constant number of statements for any number of
/// tasks.
pub async fn fill(
    connection: &mut PgConnection,
    tasks: &mut [Task],
    options: SnapshotOptions,
) -> DbResult<()> {
    // Artifacts are never trimmed, so they take their share of the budget first.
    let mut budget = options.budget;
    if options.artifacts && !tasks.is_empty() {
        let wanted: Vec<(TaskKey, Seq)> =
            tasks.iter().map(|task| (task.key, task.last_seq)).collect();
        let (mut found, taken) = artifacts(connection, &wanted, budget).await?;
        budget = budget.without(taken);
        for task in &mut *tasks {
            task.artifacts = found.remove(&task.key).unwrap_or_default();
        }
    }
    if options.history > 0 && !tasks.is_empty() {
        let wanted: Vec<MessageRange> = tasks.iter().map(messages_of).collect();
        // Messages get what the artifacts left of the budget.
        let mut found = messages_in_budget(connection, &wanted, options.history, budget).await?;
        for task in &mut *tasks {
            let items = found.remove(&task.key).unwrap_or_else(|| Ok(Vec::new()))?;
            task.history = items
                .into_iter()
                .filter_map(|(seq, body)| {
                    Some(HistoryItem { seq, message: body.message().cloned()? })
                })
                .collect();
        }
    }
    Ok(())
}

const fn messages_of(task: &Task) -> MessageRange {
    MessageRange { key: task.key, up_to: task.last_seq, except: task.status.seq }
}

/// A task decoded from a row, without messages and artifacts.
pub struct TaskRow(pub Task);

impl TryFrom<&PgRow> for TaskRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let status = TaskStatus {
            state: state(row)?,
            message: status_message(row)?,
            at: column(row, "status_at")?,
            seq: seq(row, "status_seq")?,
        };
        let mut task =
            Task::begin(key(row)?, agent(row)?, context(row)?, column(row, "created_at")?);
        task.status = status;
        task.last_seq = seq(row, "last_seq")?;
        Ok(Self(task))
    }
}

fn status_message(row: &PgRow) -> DbResult<Option<Message>> {
    if column::<Option<i16>>(row, "kind")?.is_none() {
        return Ok(None);
    }
    Ok(body(row)?.message().cloned())
}
