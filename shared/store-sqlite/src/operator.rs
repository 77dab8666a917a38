//! Operator views and commands: dead letters, queues and workers.
//!
//! A redrive creates the new task and resolves the dead letter in one transaction.

use crate::{
    SqliteStore,
    db::{self, statements},
    error::DbResult,
    intake::{self, accept},
    leases::Leases,
    row,
    writer::Tx,
};
use async_trait::async_trait;
use longhaul_domain::{AgentDescriptor, AgentName, FailureKind, TaskId, TaskKey, WorkerId};
use longhaul_store::{
    Accepted, DeadLetter, DeadLetterQuery, DeadLetterResolution, OperatorStore, QueueRecord,
    Redrive, RedriveOutcome, Result, StoreError, WorkerRecord,
};
use rusqlite::{Connection, Row, named_params};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

statements! {
    DEAD_LETTER = "-- store::dead_letter
        SELECT d.owner_id, d.task, o.name, d.agent, d.context_id, d.at, d.because, d.cause, d.attempts, d.handled_at,
               d.redriven_as
        FROM dead_letters d JOIN owners o ON o.owner_id = d.owner_id
        WHERE d.owner_id = ?1 AND d.task = ?2";
    DEAD_OPEN = "-- store::dead
        SELECT d.owner_id, d.task, o.name, d.agent, d.context_id, d.at, d.because, d.cause, d.attempts, d.handled_at,
               d.redriven_as
        FROM dead_letters d INDEXED BY dead_letters_open CROSS JOIN owners o ON o.owner_id = d.owner_id
        WHERE d.handled_at IS NULL AND (d.at, d.task) < (:after_at, :after_task) AND d.at >= :from AND d.at < :before
          AND (:agent IS NULL OR d.agent = :agent) AND (:because IS NULL OR d.because = :because)
        ORDER BY d.at DESC, d.task DESC";
    DEAD_ALL = "-- store::dead
        SELECT d.owner_id, d.task, o.name, d.agent, d.context_id, d.at, d.because, d.cause, d.attempts, d.handled_at,
               d.redriven_as
        FROM dead_letters d INDEXED BY dead_letters_list CROSS JOIN owners o ON o.owner_id = d.owner_id
        WHERE (d.at, d.task) < (:after_at, :after_task) AND d.at >= :from AND d.at < :before
          AND (:agent IS NULL OR d.agent = :agent) AND (:because IS NULL OR d.because = :because)
        ORDER BY d.at DESC, d.task DESC";
    DEAD_OF_OWNER = "-- store::dead
        SELECT d.owner_id, d.task, o.name, d.agent, d.context_id, d.at, d.because, d.cause, d.attempts, d.handled_at,
               d.redriven_as
        FROM dead_letters d INDEXED BY dead_letters_of_owner CROSS JOIN owners o ON o.owner_id = d.owner_id
        WHERE d.owner_id = :owner AND (d.at, d.task) < (:after_at, :after_task) AND d.at >= :from AND d.at < :before
          AND (:handled OR d.handled_at IS NULL)
          AND (:agent IS NULL OR d.agent = :agent) AND (:because IS NULL OR d.because = :because)
        ORDER BY d.at DESC, d.task DESC";
    QUEUED = "-- store::queues
        SELECT agent, stage, count(*) AS runs, min(run_at) AS oldest
        FROM runs INDEXED BY runs_queued WHERE worker IS NULL GROUP BY agent, stage";
    KNOWN = "-- store::queue_names
        SELECT name AS agent FROM agents";
    RUNNING = "-- store::queues
        SELECT agent, count(*) AS runs FROM runs INDEXED BY runs_running WHERE worker IS NOT NULL GROUP BY agent";
    WORKERS = "-- store::workers
        SELECT worker, name, lease_until, agents,
               (SELECT count(*) FROM runs WHERE runs.worker = workers.worker) AS running
        FROM workers ORDER BY started_at, worker";
    FIND = "-- store::redrive
        SELECT handled_at, redriven_as FROM dead_letters WHERE owner_id = ?1 AND task = ?2";
    HANDLE = "-- store::redrive
        UPDATE dead_letters SET handled_at = ?3, redriven_as = ?4
        WHERE owner_id = ?1 AND task = ?2 AND handled_at IS NULL";
}

#[async_trait]
impl OperatorStore for SqliteStore {
    async fn list_dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        self.readers.read(move |conn| list_dead_letters(conn, &query)).await
    }

    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>> {
        self.readers.read(move |conn| read_dead_letter(conn, key)).await
    }

    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome> {
        let weight = intake::weight(&redrive.new.accept);
        let (dead, new) = (redrive.dead, redrive.new.into());
        self.writer.write(weight, move |tx| redrive_dead_letter(tx, dead, &new)).await
    }

    async fn dismiss(&self, key: TaskKey) -> Result<bool> {
        self.writer.write(0, move |tx| dismiss_dead_letter(tx, key)).await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>> {
        let now = self.time.now();
        self.readers.read(move |conn| list_queues(conn, now)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        let leases = Arc::clone(&self.leases);
        self.readers.read(move |conn| list_workers(conn, &leases)).await
    }
}

/// Sorts after every task id.
const AFTER_ALL_TASKS: &str = "g";

/// Lists dead letters, newest first. Causes are filtered here, because SQLite ignores the case of
/// ASCII letters only.
fn list_dead_letters(conn: &Connection, query: &DeadLetterQuery) -> DbResult<Vec<DeadLetter>> {
    let after_at = query.after.map_or(i64::MAX, |(at, _)| at.timestamp_millis());
    let after_task =
        query.after.map_or_else(|| AFTER_ALL_TASKS.to_owned(), |(_, task)| task.to_string());
    let agent = query.agent.as_ref().map(AgentName::as_str);
    let because = query.because.map(FailureKind::number);
    let from = query.from.map_or(i64::MIN, row::not_before);
    let before = query.before.map_or(i64::MAX, row::not_before);
    let part = query.cause_contains.as_ref().map(|part| part.to_lowercase());
    let limit = usize::try_from(query.limit.max(1)).unwrap_or(usize::MAX);
    let sql = match (query.owner, query.handled) {
        (Some(_), _) => DEAD_OF_OWNER,
        (None, true) => DEAD_ALL,
        (None, false) => DEAD_OPEN,
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut params = named_params! {
        ":after_at": after_at, ":after_task": after_task, ":from": from, ":before": before, ":agent": agent,
        ":because": because,
    }
    .to_vec();
    let owner = query.owner.map(|owner| owner.0);
    if owner.is_some() {
        params.push((":owner", &owner));
        params.push((":handled", &query.handled));
    }
    let mut rows = statement.query(&params[..])?;
    let mut letters = Vec::new();
    while letters.len() < limit
        && let Some(row) = rows.next()?
    {
        let letter = dead_letter_from_row(row)?;
        if part.as_ref().is_none_or(|part| letter.cause.to_lowercase().contains(part)) {
            letters.push(letter);
        }
    }
    Ok(letters)
}

/// Reads one dead letter.
fn read_dead_letter(conn: &Connection, key: TaskKey) -> DbResult<Option<DeadLetter>> {
    db::one(conn, DEAD_LETTER, (key.owner.0, key.task.to_string()), dead_letter_from_row)
}

fn dead_letter_from_row(row: &Row<'_>) -> DbResult<DeadLetter> {
    let because = FailureKind::from_number(row.get("because")?);
    Ok(DeadLetter {
        key: row::key(row)?,
        owner_name: row.get("name")?,
        agent: row::agent(row)?,
        context: row::context(row, "context_id")?,
        at: row::time(row, "at")?,
        because: because.ok_or_else(|| row::corrupt("because", "no such kind of failure"))?,
        cause: row.get("cause")?,
        attempts: row.get("attempts")?,
        handled: resolution(row)?,
    })
}

/// Lists queue lengths by agent, including agents with empty queues. Counts every run.
fn list_queues(conn: &Connection, now: i64) -> DbResult<Vec<QueueRecord>> {
    let mut all: BTreeMap<AgentName, QueueRecord> = BTreeMap::new();
    db::all(conn, KNOWN, (), |row| {
        record(&mut all, row::agent(row)?);
        Ok(())
    })?;
    db::all(conn, QUEUED, (), |row| {
        let record = record(&mut all, row::agent(row)?);
        let runs = count(row, "runs")?;
        match row.get::<_, i64>("stage")? {
            0 => {
                record.ready = runs;
                let waited = u64::try_from(now - row.get::<_, i64>("oldest")?).unwrap_or(0);
                record.oldest = Some(Duration::from_millis(waited));
            }
            1 => record.scheduled = runs,
            _ => record.held_back = runs,
        }
        Ok(())
    })?;
    db::all(conn, RUNNING, (), |row| {
        record(&mut all, row::agent(row)?).running = count(row, "runs")?;
        Ok(())
    })?;
    Ok(all.into_values().collect())
}

fn record(all: &mut BTreeMap<AgentName, QueueRecord>, agent: AgentName) -> &mut QueueRecord {
    all.entry(agent.clone()).or_insert(QueueRecord {
        agent,
        ready: 0,
        scheduled: 0,
        held_back: 0,
        running: 0,
        oldest: None,
    })
}

/// Lists all known workers.
fn list_workers(conn: &Connection, leases: &Leases) -> DbResult<Vec<WorkerRecord>> {
    db::all(conn, WORKERS, (), |row| {
        let id: WorkerId = row::parsed(row, "worker")?;
        let agents: Vec<AgentDescriptor> = serde_json::from_str(&row.get::<_, String>("agents")?)
            .map_err(|e| row::corrupt("workers.agents", e))?;
        let until = leases.until(id).map_or_else(|| row.get("lease_until"), Ok)?;
        Ok(WorkerRecord {
            id,
            name: row.get("name")?,
            agents: agents.into_iter().map(|agent| agent.name).collect(),
            lease_until: row::timestamp(until)
                .ok_or_else(|| row::corrupt("workers.lease_until", "no such time"))?,
            running: count(row, "running")?,
        })
    })
}

fn count(row: &Row<'_>, column: &str) -> DbResult<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// Reads the resolution of a dead letter from its columns.
fn resolution(row: &Row<'_>) -> DbResult<Option<DeadLetterResolution>> {
    let redriven: Option<String> = row.get("redriven_as")?;
    let task = redriven.map(|task| task.parse::<TaskId>()).transpose();
    let task = task.map_err(|e| row::corrupt("redriven_as", e))?;
    let handled = row.get::<_, Option<i64>>("handled_at")?.is_some();
    Ok(handled
        .then(|| task.map_or(DeadLetterResolution::Dismissed, DeadLetterResolution::Redriven)))
}

/// Creates a task that repeats the work of a dead one.
fn redrive_dead_letter(
    tx: &mut Tx<'_>,
    dead: TaskKey,
    new: &accept::NewTask,
) -> DbResult<RedriveOutcome> {
    match db::one(tx.conn, FIND, (dead.owner.0, dead.task.to_string()), resolution)? {
        Some(Some(DeadLetterResolution::Redriven(task))) => {
            return Ok(RedriveOutcome::Already { task });
        }
        Some(Some(DeadLetterResolution::Dismissed)) | None => return Ok(RedriveOutcome::NotDead),
        Some(None) => {}
    }
    if new.key.owner != dead.owner {
        return refused("a dead task can be begun again for its owner only");
    }
    let asked = new.key.task;
    let task = match accept::accept_new(tx, new)? {
        Accepted::Created { .. } => asked,
        Accepted::Duplicate { task, .. } => task,
        Accepted::KeyReused => return refused("the key of the new task was used for another one"),
        Accepted::TaskExists => return refused("a task of the new id exists"),
    };
    let done = (dead.owner.0, dead.task.to_string(), tx.now, Some(task.to_string()));
    db::run(tx.conn, HANDLE, done)?;
    Ok(RedriveOutcome::Now { task })
}

/// Dismisses a dead letter.
fn dismiss_dead_letter(tx: &mut Tx<'_>, key: TaskKey) -> DbResult<bool> {
    let done = (key.owner.0, key.task.to_string(), tx.now, None::<String>);
    Ok(db::run(tx.conn, HANDLE, done)? > 0)
}

fn refused<T>(why: &str) -> DbResult<T> {
    Err(StoreError::Refused(why.to_owned()).into())
}
