//! Accepts new tasks, one statement per batch.
//!
//! Guarantee: the statement is its own transaction, so all rows of a task exist or none. A task
//! whose dedupe key is taken writes nothing. A repeat after a lost answer finds its key with its
//! own task id.
//!
//! Almost no key exists already, so keys are first inserted as if none did; only tasks left over
//! take the slower, conflict-aware statement.

use crate::{
    column::{column, key},
    db::Db,
    entry::EncodedEntry,
    error::{DbError, DbResult},
    intake::dedupe::{KnownMessage, known_messages},
    retry,
};
use bytes::Bytes;
use longhaul_domain::{EntryBody, OwnerId, Seq, TaskKey, Timestamp};
use longhaul_store::{AcceptNew, Accepted, Result};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Builds a statement that accepts the new tasks whose dedupe keys it can take. All batches insert
/// keys and contents in sorted order, so they cannot deadlock.
macro_rules! accepting {
    ($name:literal, $accepted:literal) => {
        concat!(
            "-- store::",
            $name,
            "
with time as materialized (
    select date_trunc('milliseconds', clock_timestamp()) as at
), input as materialized (
    select i.*, time.at
    from time, unnest($1::int4[], $2::uuid[], $3::text[], $4::text[], $5::int2[], $6::int8[], $7::text[], $8::text[],
        $9::bytea[], $10::bytea[], $15::timestamptz[], $16::timestamptz[], $17::int8[], $18::text[])
        as i (owner_id, task_id, agent, context_id, priority, delay_ms, trace, body, key, content, not_before, deadline_at,
            queue_timeout_ms, concurrency_key)
), ",
            $accepted,
            ", new_tasks as (
    insert into tasks (owner_id, task_id, agent, context_id, priority, created_at, queue_timeout_ms, concurrency_key)
    select owner_id, task_id, agent, context_id, priority, at, queue_timeout_ms, concurrency_key from accepted
), new_states as (
    insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch,
        op_epoch, last_op, deadline_at)
    select owner_id, task_id, 1, at, 0, 1, 1, 1, 0, 0, 0, deadline_at from accepted
), new_entries as (
    insert into log (owner_id, task_id, seq, at, attempt, kind, schema, speaks, body)
    select owner_id, task_id, 1, at, 0, 1, $11, true, body::json from accepted
), new_runs as (
    insert into runs (owner_id, task_id, agent, priority, run_at, epoch, attempt, losses, handed_back, trace, stage,
        queue_until, deadline_at, concurrency_key)
    select owner_id, task_id, agent, priority, run_at, 0, 1, 0, false, trace, case when run_at > at then 1 else 0 end,
        run_at + queue_timeout_ms * interval '1 millisecond', deadline_at, concurrency_key
    from accepted
), contents as (
    insert into blobs (owner_id, hash, bytes)
    select * from unnest($12::int4[], $13::bytea[], $14::bytea[])
    on conflict do nothing
)
select owner_id, task_id, at from accepted"
        )
    };
}

/// Accepts tasks whose keys do not exist. Fails as a whole if another transaction takes one of them
/// at the same time.
pub const ACCEPT_FRESH: &str = accepting!(
    "accept_fresh",
    "accepted as materialized (
    select i.*, greatest(i.at + i.delay_ms * interval '1 millisecond', i.not_before) as run_at
    from input i
    where not exists (
        select from message_keys k where k.owner_id = i.owner_id and k.key = i.key offset 0
    )
), fresh as (
    insert into message_keys (owner_id, key, content, task_id, seq, at)
    select owner_id, key, content, task_id, 1, at from accepted order by owner_id, key
)"
);

/// Accepts tasks whose keys do not exist or have expired. Waits for transactions that take one of
/// them at the same time.
pub const ACCEPT_NEW: &str = accepting!(
    "accept_new",
    "fresh as (
    insert into message_keys as k (owner_id, key, content, task_id, seq, at)
    select owner_id, key, content, task_id, 1, at from input order by owner_id, key
    on conflict (owner_id, key) do update
    set content = excluded.content, task_id = excluded.task_id, seq = excluded.seq, at = excluded.at
    where k.at < excluded.at - interval '24 hours'
    returning owner_id, task_id
), accepted as materialized (
    select i.*, greatest(i.at + i.delay_ms * interval '1 millisecond', i.not_before) as run_at
    from fresh f
    join input i on i.owner_id = f.owner_id and i.task_id = f.task_id
)"
);

/// Tells whether a task exists.
pub const TASK_EXISTS: &str = "-- store::task_exists
select 1 from tasks where owner_id = $1 and task_id = $2";

/// Longest stored delay, in milliseconds: a thousand years.
const MAX_DELAY_MS: i64 = 31_556_952_000_000;

/// A new task waiting for its batch.
#[derive(Debug)]
pub struct NewTask {
    /// The request.
    pub accept: AcceptNew,
    /// JSON body of its first entry.
    pub body: String,
    /// Set once a statement with this task was sent, which may have been committed unnoticed.
    sent: AtomicBool,
}

impl From<AcceptNew> for NewTask {
    fn from(accept: AcceptNew) -> Self {
        let body = EncodedEntry::from(&EntryBody::Message(accept.accept.message.clone())).text;
        Self { accept, body, sent: AtomicBool::new(false) }
    }
}

impl NewTask {
    /// Size in a batch, in bytes.
    pub fn weight(&self) -> usize {
        let blobs: usize = self.accept.accept.blobs.iter().map(|blob| blob.bytes.len()).sum();
        self.body.len() + blobs + 500
    }

    const fn owned_dedupe_key(&self) -> (OwnerId, [u8; 32]) {
        (self.accept.key.owner, self.accept.accept.dedupe.key)
    }
}

/// Accepts one batch.
pub async fn accept_batch(db: Arc<Db>, tasks: Vec<NewTask>) -> Vec<Result<Accepted>> {
    retry::run_batch(&*db, tasks, |db, tasks| Box::pin(accept(db, tasks))).await
}

/// Accepts one task within the caller's transaction. Publishes nothing: the caller does so after
/// its commit.
pub async fn accept_in_transaction(
    connection: &mut PgConnection,
    task: &NewTask,
) -> DbResult<Accepted> {
    if let Some(at) = insert(connection, ACCEPT_NEW, &[task]).await?.remove(&task.accept.key) {
        return Ok(Accepted::Created { at, seq: Seq(1) });
    }
    let wanted = [(task.accept.key.owner, task.accept.accept.dedupe)];
    let known = known_messages(connection, &wanted).await?.remove(&task.owned_dedupe_key());
    let known =
        known.ok_or_else(|| DbError::Conflict("a dedupe key has just expired".to_owned()))?;
    Ok(repeat_outcome(task, &known, true))
}

async fn accept(db: &Db, tasks: &[NewTask]) -> DbResult<Vec<Result<Accepted>>> {
    // Of several tasks with one key the first is written; the others are its duplicates.
    let mut firsts: BTreeMap<_, usize> = BTreeMap::new();
    for (at, task) in tasks.iter().enumerate() {
        firsts.entry(task.owned_dedupe_key()).or_insert(at);
    }
    // Set before sending: from here on the task may be committed without an answer.
    let again: Vec<bool> =
        tasks.iter().map(|task| task.sent.swap(true, Ordering::Relaxed)).collect();
    let mut connection = db.connection().await?;
    let written: Vec<&NewTask> = firsts.values().map(|at| &tasks[*at]).collect();
    let created = create(&mut connection, &written).await;
    // Alone in its batch, a task whose id is taken can be told from one with an invalid row.
    if let (Err(DbError::Rejected(_)), [task]) = (&created, tasks)
        && task_exists(&mut connection, task.accept.key).await?
    {
        connection.release();
        return Ok(vec![Ok(Accepted::TaskExists)]);
    }
    let created = created?;
    db.signals.publish_created(created.keys().copied());

    let created_at = |at: usize| {
        let first = firsts.get(&tasks[at].owned_dedupe_key()) == Some(&at);
        created.get(&tasks[at].accept.key).copied().filter(|_| first)
    };
    let others: Vec<_> = (0..tasks.len())
        .filter(|at| created_at(*at).is_none())
        .map(|at| (tasks[at].accept.key.owner, tasks[at].accept.accept.dedupe))
        .collect();
    let known = if others.is_empty() {
        HashMap::new()
    } else {
        known_messages(&mut connection, &others).await?
    };
    connection.release();
    let outcome = |at: usize| {
        if let Some(at) = created_at(at) {
            return Ok(Ok(Accepted::Created { at, seq: Seq(1) }));
        }
        // The key was taken a moment ago and has since expired: a retry takes it.
        let known = known
            .get(&tasks[at].owned_dedupe_key())
            .ok_or_else(|| DbError::Conflict("a dedupe key has just expired".to_owned()))?;
        Ok(Ok(repeat_outcome(&tasks[at], known, again[at])))
    };
    let outcomes: Vec<Result<Accepted>> = (0..tasks.len()).map(outcome).collect::<DbResult<_>>()?;
    // Tasks committed by an earlier attempt whose answer was lost were not published yet.
    let found = tasks.iter().zip(&outcomes).filter_map(|(task, outcome)| match outcome {
        Ok(Accepted::Created { .. }) => Some(task.accept.key),
        _ => None,
    });
    db.signals.publish_created(found.filter(|key| !created.contains_key(key)));
    Ok(outcomes)
}

fn repeat_outcome(task: &NewTask, known: &KnownMessage, again: bool) -> Accepted {
    if known.content != task.accept.accept.dedupe.content {
        Accepted::KeyReused
    } else if again && known.task == task.accept.key.task {
        Accepted::Created { at: known.created_at, seq: known.seq }
    } else {
        Accepted::Duplicate { task: known.task, seq: known.seq }
    }
}

/// Inserts tasks with distinct keys; returns those that were created.
async fn create(
    connection: &mut PgConnection,
    tasks: &[&NewTask],
) -> DbResult<HashMap<TaskKey, Timestamp>> {
    match insert(connection, ACCEPT_FRESH, tasks).await {
        Ok(created) if created.len() == tasks.len() => Ok(created),
        // The existing keys may have expired.
        Ok(mut created) => {
            let left: Vec<&NewTask> = tasks
                .iter()
                .filter(|task| !created.contains_key(&task.accept.key))
                .copied()
                .collect();
            created.extend(insert(connection, ACCEPT_NEW, &left).await?);
            Ok(created)
        }
        // Another transaction took a key between check and insert.
        Err(DbError::Rejected(_)) => insert(connection, ACCEPT_NEW, tasks).await,
        Err(failure) => Err(failure),
    }
}

async fn task_exists(connection: &mut PgConnection, key: TaskKey) -> DbResult<bool> {
    let row = query(TASK_EXISTS)
        .bind(key.owner.0)
        .bind(key.task.uuid())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

async fn insert(
    connection: &mut PgConnection,
    statement: &'static str,
    tasks: &[&NewTask],
) -> DbResult<HashMap<TaskKey, Timestamp>> {
    let all = || tasks.iter().map(|task| &task.accept);
    let millis =
        |period: Duration| i64::try_from(period.as_millis()).unwrap_or(i64::MAX).min(MAX_DELAY_MS);
    // Sorted and unique, so that concurrent batches insert in the same order.
    let blobs: BTreeMap<(i32, &[u8]), &Bytes> = all()
        .flat_map(|a| a.accept.blobs.iter().map(|b| ((a.key.owner.0, &b.hash.0[..]), &b.bytes)))
        .collect();
    let rows = query(statement)
        .bind(all().map(|a| a.key.owner.0).collect::<Vec<_>>())
        .bind(all().map(|a| a.key.task.uuid()).collect::<Vec<_>>())
        .bind(all().map(|a| a.agent.as_str()).collect::<Vec<_>>())
        .bind(all().map(|a| a.context.as_str()).collect::<Vec<_>>())
        .bind(all().map(|a| a.options.priority).collect::<Vec<_>>())
        .bind(all().map(|a| millis(a.options.delay)).collect::<Vec<_>>())
        .bind(all().map(|a| a.accept.trace.as_deref()).collect::<Vec<Option<&str>>>())
        .bind(tasks.iter().map(|task| task.body.as_str()).collect::<Vec<_>>())
        .bind(all().map(|a| &a.accept.dedupe.key[..]).collect::<Vec<_>>())
        .bind(all().map(|a| &a.accept.dedupe.content[..]).collect::<Vec<_>>())
        .bind(crate::column::BODY_SCHEMA)
        .bind(blobs.keys().map(|(owner, _)| *owner).collect::<Vec<_>>())
        .bind(blobs.keys().map(|(_, hash)| *hash).collect::<Vec<_>>())
        .bind(blobs.values().map(|bytes| &bytes[..]).collect::<Vec<_>>())
        .bind(all().map(|a| a.options.not_before).collect::<Vec<_>>())
        .bind(all().map(|a| a.options.deadline).collect::<Vec<_>>())
        .bind(all().map(|a| a.options.queue_timeout.map(millis)).collect::<Vec<_>>())
        .bind(all().map(|a| a.options.concurrency_key.as_deref()).collect::<Vec<Option<&str>>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((key(row)?, column(row, "at")?))).collect()
}
