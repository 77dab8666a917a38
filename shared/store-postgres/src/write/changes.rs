//! Writes all changes of a batch with one statement.

use crate::{
    column::BODY_SCHEMA,
    error::{DbError, DbResult},
    signals::SignalHub,
    write::{
        LockedTask, RunRow,
        checkpoints::{CheckpointValues, keep},
        concurrency_keys::{UnblockedRun, unblock_runs},
        task::NewEntry,
    },
};
use longhaul_domain::{ArtifactId, Blob, Checkpoint, OwnerId, Seq, TaskId, TaskKey, Timestamp};
use longhaul_store::DedupeKey;
use sqlx_core::{query::query, row::Row, transaction::Transaction};
use sqlx_postgres::{PgArguments, PgConnection, Postgres};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Writes entries, states, runs, contents and dedupe keys in one round trip.
///
/// A chunk appended to an artifact that has not begun begins it. Only the first chunk of each
/// artifact in a batch checks the index for that. `offset 0` keeps the planner from hash-joining
/// the whole log.
pub const WRITE_CHANGES: &str = "-- store::write_changes
with entries as (
    insert into log (owner_id, task_id, seq, at, attempt, kind, schema, speaks, head, body)
    select e.owner_id, e.task_id, e.seq, e.at, e.attempt, e.kind, $42, e.speaks,
        case when e.asks and exists (
            select from log h
            where h.owner_id = e.owner_id and h.task_id = e.task_id and h.head = e.head and h.seq > 16 offset 0
        ) or e.asks and exists (
            select from log h
            where h.owner_id = e.owner_id and h.task_id = e.task_id and h.seq <= 16 and h.head = e.head offset 0
        ) then null else e.head end,
        e.body::json
    from unnest($1::int4[], $2::uuid[], $3::int8[], $4::timestamptz[], $5::int4[], $6::int2[], $7::bool[], $8::text[],
        $9::bool[], $10::text[]) as e (owner_id, task_id, seq, at, attempt, kind, speaks, head, asks, body)
), states as (
    update task_state s
    set state = n.state, status_at = n.status_at, status_seq = n.status_seq, last_seq = n.last_seq,
        message_seq = n.message_seq, turn = n.turn, epoch = n.epoch, op_epoch = n.op_epoch, last_op = n.last_op,
        settle_token = n.settle_token, deadline_at = n.deadline_at, version = n.version, follow_ups = n.follow_ups,
        follow_up_bytes = n.follow_up_bytes
    from unnest($11::int4[], $12::uuid[], $13::int2[], $14::timestamptz[], $15::int8[], $16::int8[], $17::int8[],
        $18::int4[], $19::int4[], $20::int4[], $21::int4[], $22::uuid[], $48::timestamptz[], $49::text[], $55::int4[],
        $56::int8[])
        as n (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch, op_epoch, last_op,
            settle_token, deadline_at, version, follow_ups, follow_up_bytes)
    where s.owner_id = any(array[n.owner_id]) and s.task_id = n.task_id
    returning 1
), queued as (
    insert into runs (owner_id, task_id, agent, priority, run_at, epoch, token, worker, attempt, losses, handed_back,
        cancel_at, trace, stage, queue_until, deadline_at, concurrency_key, version)
    select * from unnest($23::int4[], $24::uuid[], $25::text[], $26::int2[], $27::timestamptz[], $28::int4[],
        $29::uuid[], $30::uuid[], $31::int4[], $32::int4[], $33::bool[], $34::timestamptz[], $35::text[], $50::int2[],
        $51::timestamptz[], $52::timestamptz[], $53::text[], $54::text[])
    on conflict (owner_id, task_id) do update
    set run_at = excluded.run_at, epoch = excluded.epoch, token = excluded.token, worker = excluded.worker,
        attempt = excluded.attempt, losses = excluded.losses, handed_back = excluded.handed_back,
        cancel_at = excluded.cancel_at, trace = excluded.trace, stage = excluded.stage,
        queue_until = excluded.queue_until, version = excluded.version
), ended as (
    delete from runs r
    using unnest($36::int4[], $37::uuid[]) as d (owner_id, task_id)
    where r.owner_id = any(array[d.owner_id]) and r.task_id = d.task_id
), contents as (
    insert into blobs (owner_id, hash, bytes)
    select * from unnest($38::int4[], $39::bytea[], $40::bytea[])
    on conflict do nothing
), keys as (
    insert into message_keys as k (owner_id, key, content, task_id, seq, at)
    select m.owner_id, m.key, m.content, m.task_id, m.seq, m.at
    from unnest($41::int4[], $43::bytea[], $44::bytea[], $45::uuid[], $46::int8[], $47::timestamptz[])
        as m (owner_id, key, content, task_id, seq, at)
    on conflict (owner_id, key) do update
    set content = excluded.content, task_id = excluded.task_id, seq = excluded.seq, at = excluded.at
    where k.at < excluded.at - interval '24 hours'
    returning 1
)
select (select count(*) from states) as states, (select count(*) from keys) as keys";

/// Inserts dead letters.
pub const INSERT_DEAD_LETTERS: &str = "-- store::insert_dead_letters
insert into dead_letters (owner_id, task_id, agent, at, because, cause, attempts)
select * from unnest($1::int4[], $2::uuid[], $3::text[], $4::timestamptz[], $5::int2[], $6::text[], $7::int4[])
on conflict do nothing";

/// A dedupe key with the message that it identifies.
struct DedupeKeyRow {
    key: DedupeKey,
    task: TaskId,
    seq: Seq,
    at: Timestamp,
}

/// Changes of a batch.
#[derive(Default)]
pub struct Changes {
    tasks: Vec<LockedTask>,
    blobs: BTreeMap<(OwnerId, [u8; 32]), bytes::Bytes>,
    keys: BTreeMap<(OwnerId, [u8; 32]), DedupeKeyRow>,
    checkpoints: CheckpointValues,
}

impl Changes {
    /// Adds a task with the changes decided in memory.
    pub fn add_task(&mut self, task: LockedTask) {
        self.tasks.push(task);
    }

    /// Adds large contents, each once.
    pub fn add_blobs(&mut self, owner: OwnerId, blobs: &[Blob]) {
        for blob in blobs {
            self.blobs.entry((owner, blob.hash.0)).or_insert_with(|| blob.bytes.clone());
        }
    }

    /// Adds checkpoints. The last value of a name wins.
    pub fn add_checkpoints(&mut self, task: TaskKey, at: Timestamp, checkpoints: &[Checkpoint]) {
        for Checkpoint { name, value } in checkpoints {
            self.checkpoints.insert((task, name.clone()), (at, value.clone()));
        }
    }

    /// Adds the dedupe key of a message.
    pub fn add_dedupe_key(&mut self, task: TaskKey, key: DedupeKey, seq: Seq, at: Timestamp) {
        let row = DedupeKeyRow { key, task: task.task, seq, at };
        self.keys.insert((task.owner, key.key), row);
    }

    /// Writes all changes and commits. Returns [`grown_logs`](Self::grown_logs).
    pub async fn commit(
        self,
        mut transaction: Transaction<'_, Postgres>,
        signals: &SignalHub,
    ) -> DbResult<Vec<(TaskKey, Seq)>> {
        let unblocked = self.write(&mut transaction).await?;
        transaction.commit().await?;
        // Publish after the commit: a change that is rolled back must not be announced.
        for UnblockedRun { key, agent } in unblocked {
            signals.publish_runnable(&agent, key);
        }
        Ok(self.grown_logs())
    }

    /// Tasks whose log grows, with their last sequence.
    pub fn grown_logs(&self) -> Vec<(TaskKey, Seq)> {
        let grown = self.tasks.iter().filter(|task| !task.new_entries.is_empty());
        grown.map(|task| (task.key, task.last_seq)).collect()
    }

    /// Writes all changes and returns the runs that became unblocked.
    ///
    /// A dedupe key that another transaction has just inserted is a lost race: the batch fails with
    /// a conflict.
    pub async fn write(&self, connection: &mut PgConnection) -> DbResult<Vec<UnblockedRun>> {
        if self.tasks.is_empty() {
            return Ok(Vec::new());
        }
        let rows = ChangeColumns::new(&self.tasks);
        let query = rows.bind(query(WRITE_CHANGES));
        let keys: Vec<(&(OwnerId, [u8; 32]), &DedupeKeyRow)> = self.keys.iter().collect();
        let query = query
            .bind(self.blobs.keys().map(|(owner, _)| owner.0).collect::<Vec<_>>())
            .bind(self.blobs.keys().map(|(_, hash)| &hash[..]).collect::<Vec<_>>())
            .bind(self.blobs.values().map(|bytes| &bytes[..]).collect::<Vec<_>>())
            .bind(keys.iter().map(|(place, _)| place.0.0).collect::<Vec<_>>())
            .bind(BODY_SCHEMA)
            .bind(keys.iter().map(|(place, _)| &place.1[..]).collect::<Vec<_>>())
            .bind(keys.iter().map(|(_, row)| &row.key.content[..]).collect::<Vec<_>>())
            .bind(keys.iter().map(|(_, row)| row.task.uuid()).collect::<Vec<_>>())
            .bind(keys.iter().map(|(_, row)| row.seq.0).collect::<Vec<_>>())
            .bind(keys.iter().map(|(_, row)| row.at).collect::<Vec<_>>());
        let row = rows.bind_later(query).fetch_one(&mut *connection).await?;
        let (states, written): (i64, i64) = (row.try_get("states")?, row.try_get("keys")?);
        // A missing state or key means that another transaction won the race.
        if usize::try_from(states) != Ok(self.tasks.len())
            || usize::try_from(written) != Ok(self.keys.len())
        {
            return Err(DbError::Conflict("another transaction changed the same rows".to_owned()));
        }
        keep(connection, &self.checkpoints).await?;
        insert_dead_letters(connection, &self.tasks).await?;
        unblock_runs(connection, &self.tasks).await
    }
}

/// The changes as columns.
#[derive(Default)]
struct ChangeColumns<'a> {
    entries: Vec<(TaskKey, &'a NewEntry, Option<&'a str>, bool)>,
    tasks: &'a [LockedTask],
    queued: Vec<(&'a LockedTask, &'a RunRow)>,
    ended: Vec<TaskKey>,
}

type PgQuery<'q> = sqlx_core::query::Query<'q, Postgres, PgArguments>;

impl<'a> ChangeColumns<'a> {
    fn new(tasks: &'a [LockedTask]) -> Self {
        let mut rows = Self { tasks, ..Self::default() };
        for task in tasks {
            rows.add_entries(task);
            match (&task.run_before, &task.run) {
                // A run inserted while this batch waited for its locks is not in the rows it has
                // read.
                (_, None) if task.state.is_terminal() => rows.ended.push(task.key),
                // An unchanged run needs no write.
                (before, now) if before == now => {}
                (_, Some(run)) => rows.queued.push((task, run)),
                (_, None) => rows.ended.push(task.key),
            }
        }
        rows
    }

    fn add_entries(&mut self, task: &'a LockedTask) {
        let mut begun: BTreeSet<&ArtifactId> = BTreeSet::new();
        for new_entry in &task.new_entries {
            let (head, asks) = match &new_entry.entry.artifact {
                Some((id, appended)) => {
                    // Only the first appended chunk per artifact checks the log for its start.
                    let first = begun.insert(id);
                    ((first || !appended).then(|| id.as_str()), *appended)
                }
                None => (None, false),
            };
            self.entries.push((task.key, new_entry, head, asks));
        }
    }

    fn bind<'q>(&self, query: PgQuery<'q>) -> PgQuery<'q>
    where
        'a: 'q,
    {
        self.bind_runs(self.bind_states(self.bind_entries(query)))
    }

    fn bind_entries<'q>(&self, query: PgQuery<'q>) -> PgQuery<'q>
    where
        'a: 'q,
    {
        let rows = &self.entries;
        query
            .bind(rows.iter().map(|(key, ..)| key.owner.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|(key, ..)| key.task.uuid()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, e, ..)| e.seq.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, e, ..)| e.at).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, e, ..)| e.attempt).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, e, ..)| e.entry.kind.number()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, e, ..)| e.entry.has_message).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, _, head, _)| *head).collect::<Vec<Option<&str>>>())
            .bind(rows.iter().map(|(.., asks)| *asks).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, e, ..)| e.entry.text.as_str()).collect::<Vec<_>>())
    }

    fn bind_states<'q>(&self, query: PgQuery<'q>) -> PgQuery<'q> {
        let rows = self.tasks;
        query
            .bind(rows.iter().map(|t| t.key.owner.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.key.task.uuid()).collect::<Vec<Uuid>>())
            .bind(rows.iter().map(|t| t.state.number()).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.status_at).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.status_seq.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.last_seq.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.message_seq.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.turn).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.epoch).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.op_epoch).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.last_op).collect::<Vec<_>>())
            .bind(rows.iter().map(|t| t.settle_token).collect::<Vec<_>>())
    }

    fn bind_runs<'q>(&self, query: PgQuery<'q>) -> PgQuery<'q>
    where
        'a: 'q,
    {
        let rows = &self.queued;
        query
            .bind(rows.iter().map(|(t, _)| t.key.owner.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|(t, _)| t.key.task.uuid()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(t, _)| t.agent.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(t, _)| t.priority).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.due).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.epoch).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.holder.map(|held| held.0)).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.holder.map(|held| held.1)).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.attempt).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.losses).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.handed_back).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.cancel_at).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, r)| r.trace.as_deref()).collect::<Vec<Option<&str>>>())
            .bind(self.ended.iter().map(|key| key.owner.0).collect::<Vec<_>>())
            .bind(self.ended.iter().map(|key| key.task.uuid()).collect::<Vec<_>>())
    }

    /// Binds the parameters behind the dedupe keys.
    fn bind_later<'q>(&self, query: PgQuery<'q>) -> PgQuery<'q>
    where
        'a: 'q,
    {
        let (tasks, runs) = (self.tasks, &self.queued);
        let text = |text: &'a Option<String>| text.as_deref();
        query
            .bind(tasks.iter().map(|t| t.deadline).collect::<Vec<_>>())
            .bind(tasks.iter().map(|t| text(&t.version)).collect::<Vec<_>>())
            .bind(runs.iter().map(|(_, r)| r.stage.number()).collect::<Vec<_>>())
            .bind(runs.iter().map(|(_, r)| r.queue_until).collect::<Vec<_>>())
            .bind(runs.iter().map(|(t, _)| t.deadline).collect::<Vec<_>>())
            .bind(runs.iter().map(|(t, _)| text(&t.concurrency_key)).collect::<Vec<_>>())
            .bind(runs.iter().map(|(_, r)| text(&r.version)).collect::<Vec<_>>())
            .bind(tasks.iter().map(|t| stored(t.follow_ups.messages)).collect::<Vec<Option<i32>>>())
            .bind(tasks.iter().map(|t| stored(t.follow_ups.bytes)).collect::<Vec<Option<i64>>>())
    }
}

/// Converts a counter for storage. Zero is stored as null, which takes no space; most tasks have
/// zero.
fn stored<C, S>(count: C) -> Option<S>
where
    C: Default + PartialEq,
    S: TryFrom<C>,
{
    if count == C::default() { None } else { S::try_from(count).ok() }
}

/// Inserts dead letters for tasks that have just failed, in the transaction in which they fail.
async fn insert_dead_letters(connection: &mut PgConnection, tasks: &[LockedTask]) -> DbResult<()> {
    let failed: Vec<_> = tasks
        .iter()
        .filter_map(|task| task.failure.as_ref().map(|failure| (task, failure)))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    query(INSERT_DEAD_LETTERS)
        .bind(failed.iter().map(|(task, _)| task.key.owner.0).collect::<Vec<_>>())
        .bind(failed.iter().map(|(task, _)| task.key.task.uuid()).collect::<Vec<_>>())
        .bind(failed.iter().map(|(task, _)| task.agent.as_str()).collect::<Vec<_>>())
        .bind(failed.iter().map(|(task, _)| task.status_at).collect::<Vec<_>>())
        .bind(failed.iter().map(|(_, failure)| failure.because.number()).collect::<Vec<_>>())
        .bind(failed.iter().map(|(_, failure)| failure.cause.as_str()).collect::<Vec<_>>())
        .bind(failed.iter().map(|(_, failure)| failure.attempts).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
