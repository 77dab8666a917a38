//! Snapshots: the result of folding the log, read through small indexes.

use super::{budget::RemainingBudget, log::entry_at};
use crate::{
    db::{self, statements},
    error::DbResult,
    row,
};
use longhaul_domain::{
    AgentName, Artifact, ContextId, EntryBody, HistoryItem, Seq, Task, TaskKey, TaskState,
    TaskStatus, Timestamp,
};
use longhaul_store::{ReadBudget, SnapshotOptions};
use rusqlite::{Connection, Row};
use std::collections::HashMap;

statements! {
    TASK_ROW = "-- store::read_task
        SELECT t.owner_id, t.task, t.agent, t.context_id, t.created_at,
               s.state, s.status_at, s.status_seq, s.last_seq, s.message_seq, s.turn, s.deadline_at
        FROM tasks t JOIN task_state s ON s.owner_id = t.owner_id AND s.task = t.task
        WHERE t.owner_id = ?1 AND t.task = ?2";
    MESSAGES = "-- store::read_task
        SELECT seq, kind, body FROM log
        WHERE owner_id = ?1 AND task = ?2 AND says = 1 AND seq <> ?3 ORDER BY seq DESC LIMIT ?4";
    ARTIFACTS = "-- store::read_task
        SELECT artifact_id, min(seq) AS first, max(seq) AS begin FROM log
        WHERE owner_id = ?1 AND task = ?2 AND head = 1 GROUP BY artifact_id";
    CHUNKS = "-- store::read_task
        SELECT kind, body FROM log
        WHERE owner_id = ?1 AND task = ?2 AND seq >= ?3 AND kind = 3 ORDER BY seq";
}

/// The row of a task, without its messages and artifacts.
#[derive(Debug, Clone)]
pub struct TaskRow {
    pub key: TaskKey,
    pub agent: AgentName,
    pub context: ContextId,
    pub created_at: Timestamp,
    pub state: TaskState,
    pub status_at: Timestamp,
    pub status_seq: Seq,
    pub last_seq: Seq,
    pub message_seq: Seq,
    pub turn: i32,
    pub deadline: Option<Timestamp>,
}

impl TaskRow {
    /// Reads the columns of `TASK_ROW`, in their order.
    pub fn from_row(row: &Row<'_>) -> DbResult<Self> {
        Ok(Self {
            key: row::key_at(row)?,
            agent: row::parsed(row, 2)?,
            context: row::context(row, 3)?,
            created_at: row::time(row, 4)?,
            state: row::state(row, 5)?,
            status_at: row::time(row, 6)?,
            status_seq: row::seq(row, 7)?,
            last_seq: row::seq(row, 8)?,
            message_seq: row::seq(row, 9)?,
            turn: row.get(10)?,
            deadline: row.get::<_, Option<i64>>(11)?.and_then(row::timestamp),
        })
    }
}

pub fn task_row(conn: &Connection, key: TaskKey) -> DbResult<Option<TaskRow>> {
    db::one(conn, TASK_ROW, (key.owner.0, key.task.to_string()), TaskRow::from_row)
}

/// Reads the snapshot of a task, if the task exists.
pub fn read_task(
    conn: &Connection,
    key: TaskKey,
    options: SnapshotOptions,
) -> DbResult<Option<Task>> {
    let mut left = RemainingBudget(options.budget);
    task_row(conn, key)?.map(|row| snapshot(conn, row, options, &mut left)).transpose()
}

/// Adds messages and artifacts to the row of a task, within the budget.
pub fn snapshot(
    conn: &Connection,
    task_row: TaskRow,
    options: SnapshotOptions,
    left: &mut RemainingBudget,
) -> DbResult<Task> {
    let key = task_row.key;
    let message = if task_row.status_seq == Seq::START {
        None
    } else {
        match entry_at(conn, key, task_row.status_seq)?.body {
            EntryBody::Status(change) => change.message,
            _ => return Err(row::corrupt("task_state.status_seq", "not a status")),
        }
    };
    // Artifacts are never left out, so they take their share of the budget first.
    let artifacts = if options.artifacts { artifacts(conn, key, left)? } else { Vec::new() };
    let history = match options.history {
        0 => Vec::new(),
        limit => messages(conn, key, limit, Some(task_row.status_seq), left)?,
    };
    Ok(Task {
        key,
        agent: task_row.agent,
        context: task_row.context,
        created_at: task_row.created_at,
        status: TaskStatus {
            state: task_row.state,
            message,
            at: task_row.status_at,
            seq: task_row.status_seq,
        },
        history,
        artifacts,
        metadata: None,
        last_seq: task_row.last_seq,
    })
}

/// Reads the most recent messages within the budget, in the order of the log, except the one in the
/// entry `except`.
pub fn messages(
    conn: &Connection,
    key: TaskKey,
    limit: u32,
    except: Option<Seq>,
    left: &mut RemainingBudget,
) -> DbResult<Vec<HistoryItem>> {
    let mut statement = conn.prepare_cached(MESSAGES)?;
    let mut rows = statement.query((
        key.owner.0,
        key.task.to_string(),
        except.unwrap_or_default().0,
        limit,
    ))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        if !left.take(row::body_len(row, 2)?) {
            match left.0 {
                ReadBudget::TrimHistory(_) => break,
                budget @ (ReadBudget::Unlimited | ReadBudget::Strict(_)) => {
                    return Err(budget.exceeded().into());
                }
            }
        }
        let message = match row::body(row, 1, 2)? {
            EntryBody::Message(user) => Some(user.message),
            EntryBody::Status(change) => change.message,
            EntryBody::Artifact(_) | EntryBody::Note(_) => None,
        };
        let message = message.ok_or_else(|| row::corrupt("log.says", "no message in the entry"))?;
        items.push(HistoryItem { seq: row::seq(row, 0)?, message });
    }
    items.reverse();
    Ok(items)
}

/// Reads the artifacts in the order of their first chunk, each from where it last began.
fn artifacts(
    conn: &Connection,
    key: TaskKey,
    left: &mut RemainingBudget,
) -> DbResult<Vec<Artifact>> {
    let (owner, task) = (key.owner.0, key.task.to_string());
    let mut heads = db::all(conn, ARTIFACTS, (owner, &task), |row| {
        let id: String = row.get("artifact_id")?;
        Ok((row::seq(row, "first")?, row::seq(row, "begin")?, id))
    })?;
    let Some(from) = heads.iter().map(|(_, begin, _)| *begin).min() else {
        return Ok(Vec::new());
    };
    heads.sort_unstable();
    let begins = heads.iter().map(|(_, begin, id)| (id.as_str(), *begin)).collect();
    left.take_artifacts(conn, key, from, &begins)?;
    let places: HashMap<&str, usize> =
        heads.iter().enumerate().map(|(place, (.., id))| (id.as_str(), place)).collect();
    let mut found: Vec<Vec<Artifact>> = vec![Vec::new(); heads.len()];
    db::all(conn, CHUNKS, (owner, &task, from.0), |row| {
        let EntryBody::Artifact(update) = row::body(row, 0, 1)? else {
            return Err(row::corrupt("log.kind", "not an artifact"));
        };
        // A chunk before the last beginning of its artifact has been replaced.
        if let Some(place) = places.get(update.artifact.artifact_id.as_str()) {
            update.apply_to(&mut found[*place]);
        }
        Ok(())
    })?;
    Ok(found.into_iter().flatten().collect())
}
