//! New tasks, a batch with one statement.
//!
//! Where the dedupe key is taken, nothing else of that task is written. The statement is its own transaction, so all rows of
//! a task are there or none. A repeat after a lost answer finds its key with its own task id. Hardly any key is there already,
//! so keys are inserted as if none were, and only what remains is tried with more care.

use crate::{
    column::{column, key},
    db::Db,
    entry::Encoded,
    failure::{DbResult, Failure},
    intake::known::{Known, known},
    replay,
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

/// A statement that accepts those new tasks whose dedupe keys it can take. Keys are taken in their order, contents in theirs, so
/// that two batches never wait for one another in a circle.
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

/// Accepts tasks whose keys are not there. Fails as a whole when somebody else takes one at the same moment.
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

/// Accepts tasks whose keys are not there, or too old to count; waits for whoever takes one at the same moment.
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

/// The longest delay that is kept, in milliseconds: a thousand years.
const MAX_DELAY_MS: i64 = 31_556_952_000_000;

/// A new task that waits for its batch.
#[derive(Debug)]
pub struct NewTask {
    /// What was asked.
    pub accept: AcceptNew,
    /// The body of its first entry.
    pub body: String,
    /// Whether a statement with it was sent before: it may have been committed without our knowing.
    sent: AtomicBool,
}

impl From<AcceptNew> for NewTask {
    fn from(accept: AcceptNew) -> Self {
        let body = Encoded::from(&EntryBody::Message(accept.accept.message.clone())).text;
        Self { accept, body, sent: AtomicBool::new(false) }
    }
}

impl NewTask {
    /// What it weighs in a batch, in bytes.
    pub fn weight(&self) -> usize {
        let blobs: usize = self.accept.accept.blobs.iter().map(|blob| blob.bytes.len()).sum();
        self.body.len() + blobs + 500
    }

    const fn place(&self) -> (OwnerId, [u8; 32]) {
        (self.accept.key.owner, self.accept.accept.dedupe.key)
    }
}

/// Runs one batch.
pub async fn run(db: Arc<Db>, tasks: Vec<NewTask>) -> Vec<Result<Accepted>> {
    replay::batch(&*db, tasks, |db, tasks| Box::pin(accept(db, tasks))).await
}

/// Accepts one task within a transaction of somebody else. Nobody is told before that has committed.
pub async fn accept_within(connection: &mut PgConnection, task: &NewTask) -> DbResult<Accepted> {
    if let Some(at) = insert(connection, ACCEPT_NEW, &[task]).await?.remove(&task.accept.key) {
        return Ok(Accepted::Created { at, seq: Seq(1) });
    }
    let wanted = [(task.accept.key.owner, task.accept.accept.dedupe)];
    let known = known(connection, &wanted).await?.remove(&task.place());
    let known = known.ok_or_else(|| Failure::Conflict("a dedupe key ran out".to_owned()))?;
    Ok(recognised(task, &known, true))
}

async fn accept(db: &Db, tasks: &[NewTask]) -> DbResult<Vec<Result<Accepted>>> {
    // Of several with one key the first is written; the others find it.
    let mut firsts: BTreeMap<_, usize> = BTreeMap::new();
    for (at, task) in tasks.iter().enumerate() {
        firsts.entry(task.place()).or_insert(at);
    }
    let again: Vec<bool> =
        tasks.iter().map(|task| task.sent.swap(true, Ordering::Relaxed)).collect();
    let mut connection = db.hot().await?;
    let written: Vec<&NewTask> = firsts.values().map(|at| &tasks[*at]).collect();
    let created = create(&mut connection, &written).await?;
    db.signals.made(created.keys().copied());

    let created_at = |at: usize| {
        let first = firsts.get(&tasks[at].place()) == Some(&at);
        created.get(&tasks[at].accept.key).copied().filter(|_| first)
    };
    let others: Vec<_> = (0..tasks.len())
        .filter(|at| created_at(*at).is_none())
        .map(|at| (tasks[at].accept.key.owner, tasks[at].accept.accept.dedupe))
        .collect();
    let known =
        if others.is_empty() { HashMap::new() } else { known(&mut connection, &others).await? };
    connection.done();
    let outcome = |at: usize| {
        if let Some(at) = created_at(at) {
            return Ok(Ok(Accepted::Created { at, seq: Seq(1) }));
        }
        // A key that was taken a moment ago and is not there any more was too old: the next try takes it.
        let known = known
            .get(&tasks[at].place())
            .ok_or_else(|| Failure::Conflict("a dedupe key ran out".to_owned()))?;
        Ok(Ok(recognised(&tasks[at], known, again[at])))
    };
    let outcomes: Vec<Result<Accepted>> = (0..tasks.len()).map(outcome).collect::<DbResult<_>>()?;
    // One that an earlier try has committed was told to nobody.
    let found = tasks.iter().zip(&outcomes).filter_map(|(task, outcome)| match outcome {
        Ok(Accepted::Created { .. }) => Some(task.accept.key),
        _ => None,
    });
    db.signals.made(found.filter(|key| !created.contains_key(key)));
    Ok(outcomes)
}

fn recognised(task: &NewTask, known: &Known, again: bool) -> Accepted {
    if known.content != task.accept.accept.dedupe.content {
        Accepted::KeyReused
    } else if again && known.task == task.accept.key.task {
        Accepted::Created { at: known.created_at, seq: known.seq }
    } else {
        Accepted::Duplicate { task: known.task, seq: known.seq }
    }
}

/// Writes tasks, each with a key of its own; gives those that were made.
async fn create(
    connection: &mut PgConnection,
    tasks: &[&NewTask],
) -> DbResult<HashMap<TaskKey, Timestamp>> {
    match insert(connection, ACCEPT_FRESH, tasks).await {
        Ok(created) if created.len() == tasks.len() => Ok(created),
        // Keys that are there may be too old to count.
        Ok(mut created) => {
            let left: Vec<&NewTask> = tasks
                .iter()
                .filter(|task| !created.contains_key(&task.accept.key))
                .copied()
                .collect();
            created.extend(insert(connection, ACCEPT_NEW, &left).await?);
            Ok(created)
        }
        Err(Failure::Refused(_)) => insert(connection, ACCEPT_NEW, tasks).await,
        Err(failure) => Err(failure),
    }
}

async fn insert(
    connection: &mut PgConnection,
    statement: &'static str,
    tasks: &[&NewTask],
) -> DbResult<HashMap<TaskKey, Timestamp>> {
    let all = || tasks.iter().map(|task| &task.accept);
    let millis =
        |period: Duration| i64::try_from(period.as_millis()).unwrap_or(i64::MAX).min(MAX_DELAY_MS);
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
