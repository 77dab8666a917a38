//! Lists of tasks.

use super::{
    budget::RemainingBudget,
    task::{TaskRow, messages, snapshot},
};
use crate::{
    db::{self, statements},
    error::{DbResult, SqliteError},
    row,
};
use longhaul_domain::{AgentName, Task, TaskState};
use longhaul_store::{ListCursor, ListQuery, ReadBudget, SnapshotOptions, StoreError, TaskPage};
use rusqlite::{Connection, Row, named_params};

statements! {
    PAGE = "-- store::list_tasks
        SELECT t.owner_id, t.task, t.agent, t.context_id, t.created_at,
               s.state, s.status_at, s.status_seq, s.last_seq, s.message_seq, s.turn, s.deadline_at
        FROM task_state s JOIN tasks t ON t.owner_id = s.owner_id AND t.task = s.task
        WHERE s.owner_id = :owner
          AND (s.status_at, s.task) < (:before_at, :before_task) AND s.status_at >= :from
          AND (:state IS NULL OR s.state = :state)
          AND (:agent IS NULL OR t.agent = :agent)
        ORDER BY s.status_at DESC, s.task DESC
        LIMIT :limit";
    PAGE_OF_CONTEXT = "-- store::list_tasks
        SELECT t.owner_id, t.task, t.agent, t.context_id, t.created_at,
               s.state, s.status_at, s.status_seq, s.last_seq, s.message_seq, s.turn, s.deadline_at
        FROM tasks t INDEXED BY tasks_of_context CROSS JOIN task_state s ON s.owner_id = t.owner_id AND s.task = t.task
        WHERE t.owner_id = :owner AND t.context_id = :context
          AND (s.status_at, s.task) < (:before_at, :before_task) AND s.status_at >= :from
          AND (:state IS NULL OR s.state = :state)
          AND (:agent IS NULL OR t.agent = :agent)
        ORDER BY s.status_at DESC, s.task DESC
        LIMIT :limit";
    COUNT = "-- store::list_tasks
        SELECT count(*) FROM task_state s JOIN tasks t ON t.owner_id = s.owner_id AND t.task = s.task
        WHERE s.owner_id = :owner AND s.status_at >= :from
          AND (:state IS NULL OR s.state = :state)
          AND (:agent IS NULL OR t.agent = :agent)";
    COUNT_OF_CONTEXT = "-- store::list_tasks
        SELECT count(*)
        FROM tasks t INDEXED BY tasks_of_context CROSS JOIN task_state s ON s.owner_id = t.owner_id AND s.task = t.task
        WHERE t.owner_id = :owner AND t.context_id = :context AND s.status_at >= :from
          AND (:state IS NULL OR s.state = :state)
          AND (:agent IS NULL OR t.agent = :agent)";
    COUNT_ALL = "-- store::list_tasks
        SELECT count(*) FROM task_state
        WHERE owner_id = :owner AND status_at >= :from AND (:state IS NULL OR state = :state)";
}

/// Sorts after every task id.
const AFTER_ALL_TASKS: &str = "g";

/// Reads one page. The total is exact even above 10,000, because counting reads a single index. The
/// tasks of a page are read one by one, which costs no round trips here.
pub fn list(conn: &Connection, query: &ListQuery) -> DbResult<TaskPage> {
    let total = match query.after {
        Some(cursor) => cursor.total,
        None => count(conn, query)?,
    };
    let page_size = usize::try_from(query.page_size.max(1)).unwrap_or(usize::MAX);
    let mut rows = page(conn, query)?;
    let more = rows.len() > page_size;
    rows.truncate(page_size);
    let next = rows.last().filter(|_| more).map(|last| ListCursor {
        status_at: last.status_at,
        task: last.key.task,
        total,
    });
    Ok(TaskPage { tasks: snapshots(conn, &rows, query.options)?, next, total })
}

/// Reads the snapshots of a page. If they exceed the budget together, they are read a second time
/// with a share of it each.
fn snapshots(conn: &Connection, rows: &[TaskRow], options: SnapshotOptions) -> DbResult<Vec<Task>> {
    let read = |options: SnapshotOptions, left: &mut RemainingBudget| {
        let tasks = rows.iter().map(|task_row| snapshot(conn, task_row.clone(), options, left));
        tasks.collect::<DbResult<Vec<Task>>>()
    };
    let ReadBudget::TrimHistory(bytes) = options.budget else {
        return read(options, &mut RemainingBudget(options.budget));
    };
    match read(options, &mut RemainingBudget(ReadBudget::Strict(bytes))) {
        Err(SqliteError::Store(StoreError::TooLarge { .. })) => {}
        done => return done,
    }
    let mut left = RemainingBudget(options.budget);
    let mut tasks = read(SnapshotOptions { history: 0, ..options }, &mut left)?;
    let share = left.0.bytes().unwrap_or_default() / (tasks.len() as u64).max(1);
    if options.history > 0 {
        for task in &mut tasks {
            let (seq, mut left) =
                (task.status.seq, RemainingBudget(ReadBudget::TrimHistory(share)));
            let limit = options.history;
            task.history = messages(conn, task.key, limit, Some(seq), &mut left)?;
        }
    }
    Ok(tasks)
}

/// Reads the tasks of a page, and one more if there is one.
fn page(conn: &Connection, query: &ListQuery) -> DbResult<Vec<TaskRow>> {
    let before_at = query.after.map_or(i64::MAX, |cursor| cursor.status_at.timestamp_millis());
    let before_task =
        query.after.map_or_else(|| AFTER_ALL_TASKS.to_owned(), |cursor| cursor.task.to_string());
    let (owner, from, state) = (query.owner.0, from(query), query.state.map(TaskState::number));
    let agent = query.agent.as_ref().map(AgentName::as_str);
    let limit = query.page_size.max(1).saturating_add(1);
    match &query.context {
        None => db::all(
            conn,
            PAGE,
            named_params! {
                ":owner": owner, ":before_at": before_at, ":before_task": before_task, ":from": from,
                ":state": state, ":agent": agent, ":limit": limit,
            },
            TaskRow::from_row,
        ),
        Some(context) => db::all(
            conn,
            PAGE_OF_CONTEXT,
            named_params! {
                ":owner": owner, ":before_at": before_at, ":before_task": before_task, ":from": from,
                ":state": state, ":agent": agent, ":limit": limit, ":context": context.as_str(),
            },
            TaskRow::from_row,
        ),
    }
}

fn count(conn: &Connection, query: &ListQuery) -> DbResult<u64> {
    let (owner, from, state) = (query.owner.0, from(query), query.state.map(TaskState::number));
    let agent = query.agent.as_ref().map(AgentName::as_str);
    let number = |row: &Row<'_>| Ok(row.get::<_, i64>(0)?);
    let count = if let Some(context) = &query.context {
        let context = context.as_str();
        let params = named_params! {
            ":owner": owner, ":from": from, ":state": state, ":agent": agent, ":context": context,
        };
        db::one(conn, COUNT_OF_CONTEXT, params, number)?
    } else if agent.is_some() {
        let params =
            named_params! { ":owner": owner, ":from": from, ":state": state, ":agent": agent };
        db::one(conn, COUNT, params, number)?
    } else {
        let params = named_params! { ":owner": owner, ":from": from, ":state": state };
        db::one(conn, COUNT_ALL, params, number)?
    };
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// Returns the first millisecond of the range; a time between two milliseconds rounds up.
fn from(query: &ListQuery) -> i64 {
    query.status_from.map_or(i64::MIN, row::not_before)
}
