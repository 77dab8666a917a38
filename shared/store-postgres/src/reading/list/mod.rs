//! Lists: one page by key, never by offset; messages and artifacts of the whole page with one statement each.
//!
//! No list costs more the more tasks an owner has that do not match. Where an index knows what is asked, only that is read;
//! otherwise a page ends after so many tasks and may be short, or empty, with a place where the next one begins. Reading holds
//! nothing: a list that is given up in the middle leaves nothing behind.

pub mod pages;
pub mod totals;

use crate::{
    column::column,
    failure::{DbResult, Failure},
    reading::task::{TaskRow, fill},
};
use longhaul_domain::{AgentName, Task, TaskId, TaskState, Timestamp};
use longhaul_store::{ListCursor, ListQuery, SnapshotOptions, TaskPage};
use pages::{LIST_CONTEXT, LIST_LIVE, LIST_SELDOM, LIST_TASKS};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use uuid::Uuid;

/// A page ends after so many tasks, matching or not.
const WALKED: i64 = 10_000;

/// Where a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In the conversation.
    Context,
    /// In the index of the states that few tasks are in.
    Seldom,
    /// Among the runs, which are few.
    Live,
    /// By time through all tasks.
    Walk,
}

impl Way {
    async fn of(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<Self> {
        use TaskState as S;
        if asked.context.is_some() {
            return Ok(Self::Context);
        }
        match asked.state {
            None | Some(S::Completed) => Ok(Self::Walk),
            Some(S::Failed | S::Canceled | S::InputRequired | S::Rejected | S::AuthRequired) => {
                Ok(Self::Seldom)
            }
            Some(S::Submitted | S::Working) => {
                let few = totals::few_runs(connection, asked).await?;
                Ok(if few { Self::Live } else { Self::Walk })
            }
        }
    }

    const fn statement(self) -> &'static str {
        match self {
            Self::Context => LIST_CONTEXT,
            Self::Seldom => LIST_SELDOM,
            Self::Live => LIST_LIVE,
            Self::Walk => LIST_TASKS,
        }
    }

    /// Whether the walk ends after so many tasks.
    const fn is_bounded(self) -> bool {
        matches!(self, Self::Seldom | Self::Walk)
    }
}

/// Reads one page.
pub async fn list(connection: &mut PgConnection, asked: &ListQuery) -> DbResult<TaskPage> {
    let size = asked.page_size.clamp(1, 100);
    let way = Way::of(connection, asked).await?;
    let Found { mut tasks, walked } = page(connection, asked, way, i64::from(size) + 1).await?;
    let full = tasks.len() > size as usize;
    tasks.truncate(size as usize);
    let last = tasks.last().map(|found| found.place);
    let tasks = tasks.into_iter().filter_map(|found| found.task).collect();
    let tasks = filled(connection, tasks, asked.options).await?;
    let total = match asked.after {
        Some(after) => after.total,
        None => totals::total(connection, asked, way).await?,
    };
    let place = if full { last } else { walked.filter(|(at, _)| *at >= totals::from(asked)) };
    let next = place.map(|(status_at, task)| ListCursor { status_at, task, total });
    Ok(TaskPage { tasks, next, total })
}

/// Adds what the tasks say and make. One that cannot be read is left out, and the others are shown.
async fn filled(
    connection: &mut PgConnection,
    mut tasks: Vec<Task>,
    options: SnapshotOptions,
) -> DbResult<Vec<Task>> {
    let facts = tasks.clone();
    match fill(connection, &mut tasks, options).await {
        Err(Failure::Corrupt { .. }) => {}
        done => return done.map(|()| tasks),
    }
    let mut readable = Vec::with_capacity(facts.len());
    for task in facts {
        let mut one = vec![task];
        match fill(connection, &mut one, options).await {
            Err(failure @ Failure::Corrupt { .. }) => left_out(one[0].key.task, &failure),
            done => done.map(|()| readable.append(&mut one))?,
        }
    }
    Ok(readable)
}

fn left_out(task: TaskId, failure: &Failure) {
    tracing::error!(task_id = %task, ?failure, "task left out of a list: cannot be read");
}

/// Where a list goes on.
type Place = (Timestamp, TaskId);

/// Tasks, and behind which place to go on where the walk ended before the list did.
struct Found {
    tasks: Vec<Listed>,
    walked: Option<Place>,
}

/// A task at its place in a list; none where a row of it is missing or cannot be read.
struct Listed {
    place: Place,
    task: Option<Task>,
}

impl Listed {
    fn read(row: &PgRow) -> DbResult<Self> {
        let place = (column(row, "status_at")?, TaskId::new(column::<Uuid>(row, "task_id")?));
        let task = match TaskRow::try_from(row) {
            Ok(task) => Some(task.0),
            Err(failure) => {
                left_out(place.1, &failure);
                None
            }
        };
        Ok(Self { place, task })
    }
}

async fn page(
    connection: &mut PgConnection,
    asked: &ListQuery,
    way: Way,
    limit: i64,
) -> DbResult<Found> {
    // Before the first page stands a place that no task has: the end of the year 9999.
    let end = Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let (status_at, task) =
        asked.after.map_or((end, Uuid::max()), |after| (after.status_at, after.task.uuid()));
    let mut query = query(way.statement())
        .bind(asked.owner.0)
        .bind(totals::from(asked))
        .bind(status_at)
        .bind(task)
        .bind(asked.state.map(TaskState::number))
        .bind(asked.agent.as_ref().map(AgentName::as_str))
        .bind(limit);
    if let Some(context) = &asked.context {
        query = query.bind(context.as_str());
    }
    if way.is_bounded() {
        query = query.bind(WALKED);
    }
    let rows = query.fetch_all(connection).await?;
    let walked = match rows.first() {
        Some(row) if way.is_bounded() => walked(row)?,
        _ => None,
    };
    let mut tasks = Vec::with_capacity(rows.len());
    for row in &rows {
        if !way.is_bounded() || column::<Option<Uuid>>(row, "task_id")?.is_some() {
            tasks.push(Listed::read(row)?);
        }
    }
    Ok(Found { tasks, walked })
}

fn walked(row: &PgRow) -> DbResult<Option<Place>> {
    let at: Option<Timestamp> = column(row, "walked_at")?;
    let task: Option<Uuid> = column(row, "walked_task")?;
    Ok(at.zip(task.map(TaskId::new)))
}
