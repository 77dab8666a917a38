//! Lists tasks, page by page by key, never by offset; messages and artifacts of a page take one
//! statement each.
//!
//! Cost does not grow with tasks that do not match: an index answers where one knows the filter,
//! and otherwise a page ends after a fixed number of tasks. Such a page may be short or empty, and
//! has a cursor for the next one. An abandoned list leaves nothing behind.

use crate::{
    column::column,
    error::{DbError, DbResult},
    reading::{
        list_pages::{ListPath, status_from},
        list_totals,
        task::{TaskRow, fill},
    },
};
use longhaul_domain::{AgentName, Task, TaskId, TaskState, Timestamp};
use longhaul_store::{ListCursor, ListQuery, SnapshotOptions, TaskPage};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use uuid::Uuid;

/// Most tasks that one page examines, matching or not.
const MAX_TASKS_WALKED: i64 = 10_000;

/// Reads one page.
pub async fn list(connection: &mut PgConnection, request: &ListQuery) -> DbResult<TaskPage> {
    let size = request.page_size.clamp(1, 100);
    let path = ListPath::choose(connection, request).await?;
    // One task more than the page holds shows whether another page follows.
    let ListScan { mut tasks, walk_end } =
        page(connection, request, path, i64::from(size) + 1).await?;
    let full = tasks.len() > size as usize;
    tasks.truncate(size as usize);
    // The cursor is the last task shown, whether or not it is readable.
    let last = tasks.last().map(|found| found.position);
    let tasks = tasks.into_iter().filter_map(|found| found.task).collect();
    let tasks = with_contents(connection, tasks, request.options).await?;
    let total = match request.after {
        Some(after) => after.total,
        None => list_totals::total(connection, request, path).await?,
    };
    let position = if full { last } else { walk_end.filter(|(at, _)| *at >= status_from(request)) };
    let next = position.map(|(status_at, task)| ListCursor { status_at, task, total });
    Ok(TaskPage { tasks, next, total })
}

/// Adds messages and artifacts. An unreadable task is left out and the others are shown.
async fn with_contents(
    connection: &mut PgConnection,
    mut tasks: Vec<Task>,
    options: SnapshotOptions,
) -> DbResult<Vec<Task>> {
    let facts = tasks.clone();
    match fill(connection, &mut tasks, options).await {
        // Fall through: find the unreadable tasks one by one.
        Err(DbError::Corrupt { .. }) => {}
        done => return done.map(|()| tasks),
    }
    let mut readable = Vec::with_capacity(facts.len());
    for task in facts {
        let mut one = vec![task];
        match fill(connection, &mut one, options).await {
            Err(failure @ DbError::Corrupt { .. }) => log_unreadable(one[0].key.task, &failure),
            done => done.map(|()| readable.append(&mut one))?,
        }
    }
    Ok(readable)
}

fn log_unreadable(task: TaskId, failure: &DbError) {
    tracing::error!(task_id = %task, ?failure, "unreadable task left out of list");
}

/// Position in a list.
type ListPosition = (Timestamp, TaskId);

/// Tasks of a page, and the position to continue from if the walk ended before the list.
struct ListScan {
    tasks: Vec<ListedTask>,
    walk_end: Option<ListPosition>,
}

/// A task at its position; `None` if one of its rows is missing or unreadable.
struct ListedTask {
    position: ListPosition,
    task: Option<Task>,
}

impl ListedTask {
    fn read(row: &PgRow) -> DbResult<Self> {
        let position = (column(row, "status_at")?, TaskId::new(column::<Uuid>(row, "task_id")?));
        let task = match TaskRow::try_from(row) {
            Ok(task) => Some(task.0),
            Err(failure) => {
                log_unreadable(position.1, &failure);
                None
            }
        };
        Ok(Self { position, task })
    }
}

async fn page(
    connection: &mut PgConnection,
    request: &ListQuery,
    path: ListPath,
    limit: i64,
) -> DbResult<ListScan> {
    // The first page starts at a position that no task has: the end of the year 9999.
    let end = Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let (status_at, task) =
        request.after.map_or((end, Uuid::max()), |after| (after.status_at, after.task.uuid()));
    let mut query = query(path.statement())
        .bind(request.owner.0)
        .bind(status_from(request))
        .bind(status_at)
        .bind(task)
        .bind(request.state.map(TaskState::number))
        .bind(request.agent.as_ref().map(AgentName::as_str))
        .bind(limit);
    if let Some(context) = &request.context {
        query = query.bind(context.as_str());
    }
    if path.is_bounded() {
        query = query.bind(MAX_TASKS_WALKED);
    }
    let rows = query.fetch_all(connection).await?;
    let walk_end = match rows.first() {
        // Every row carries the end of the walk; an empty page has one row without a task.
        Some(row) if path.is_bounded() => walk_end(row)?,
        _ => None,
    };
    let mut tasks = Vec::with_capacity(rows.len());
    for row in &rows {
        if !path.is_bounded() || column::<Option<Uuid>>(row, "task_id")?.is_some() {
            tasks.push(ListedTask::read(row)?);
        }
    }
    Ok(ListScan { tasks, walk_end })
}

fn walk_end(row: &PgRow) -> DbResult<Option<ListPosition>> {
    let at: Option<Timestamp> = column(row, "walked_at")?;
    let task: Option<Uuid> = column(row, "walked_task")?;
    Ok(at.zip(task.map(TaskId::new)))
}
