//! Appends and ends of runs in one statement, which is its own transaction.
//!
//! The statement checks under row locks whatever the locking path would decide in memory: the
//! fence, repeated operations, legal states, unread messages. It writes only the writes that pass;
//! the others take the locking path, which also determines the outcome. So does the whole batch if
//! the statement fails or its outcome is unknown: a committed write is recognised there.
//!
//! Rows are locked in the common order: runs first, by key.

use crate::{
    column::{BODY_SCHEMA, column},
    db::Db,
    entry::EncodedEntry,
    error::{DbError, DbResult},
    work::run_write::{EncodedAppend, RunWrite, WriteOutcome},
};
use longhaul_domain::{ArtifactId, Seq, TaskKey, TaskState};
use longhaul_store::{Append, Appended, SettleAs, Settled, check_output};
use sqlx_core::query::query;
use sqlx_postgres::{PgArguments, PgRow, Postgres};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};
use tokio::time::timeout;

/// Performs the writes that pass every check; returns their positions in the batch and their tasks'
/// last sequences.
///
/// The states that a write may follow are bits of a number. An entry finds its task by the position
/// of its write.
pub const WRITE_FAST: &str = "-- store::write_fast
with input as materialized (
    select i.*
    from unnest($1::int4[], $2::int4[], $3::uuid[], $4::int4[], $5::uuid[], $6::int4[], $7::int4[], $8::int8[],
        $9::int4[], $10::int2[], $11::int4[], $12::bool[], $13::bool[])
        as i (place, owner_id, task_id, run_epoch, token, op, states, read_up_to, entries, state, status, terminal, settles)
    order by i.owner_id, i.task_id
), run as materialized (
    select i.*, r.version
    from input i
    cross join lateral (
        select r.version
        from runs r
        where r.owner_id = i.owner_id and r.task_id = i.task_id and r.epoch = i.run_epoch and r.token = i.token
            and not (i.settles and (r.cancel_at is not null or r.concurrency_key is not null))
        offset 0
        for update of r
    ) r
), time as materialized (
    select date_trunc('milliseconds', clock_timestamp()) as now from (select count(*) from run) locked
), state as (
    update task_state s
    set state = coalesce(run.state, s.state),
        status_at = case when run.state is null then s.status_at else greatest(time.now, s.status_at) end,
        status_seq = case when run.state is null then s.status_seq else s.last_seq + run.status end,
        last_seq = s.last_seq + run.entries,
        epoch = case when run.settles then greatest(s.epoch, run.run_epoch) else s.epoch end,
        op_epoch = run.run_epoch,
        last_op = run.op,
        settle_token = case when run.settles then run.token else s.settle_token end,
        deadline_at = case when run.terminal then null else s.deadline_at end,
        version = case when run.settles then run.version else s.version end
    from run, time
    where s.owner_id = any(array[run.owner_id]) and s.task_id = run.task_id
        and (run.states >> s.state::int4) & 1 = 1 and s.message_seq <= run.read_up_to
        and not (s.op_epoch = run.run_epoch and s.last_op >= run.op)
    returning s.owner_id, s.task_id, s.last_seq, greatest(time.now, s.status_at) as at, run.place, run.entries, run.settles
), written as materialized (
    select array_agg(place) as places, array_agg(owner_id) as owners, array_agg(task_id) as tasks,
        array_agg(last_seq - entries) as befores, array_agg(at) as ats
    from state
), entry as (
    insert into log (owner_id, task_id, seq, at, attempt, kind, schema, speaks, head, body)
    select w.owners[p.at], w.tasks[p.at], w.befores[p.at] + e.nth, w.ats[p.at], e.attempt, e.kind, $14, e.speaks,
        case when e.asks and exists (
            select from log h
            where h.owner_id = w.owners[p.at] and h.task_id = w.tasks[p.at] and h.head = e.head and h.seq > 16 offset 0
        ) or e.asks and exists (
            select from log h
            where h.owner_id = w.owners[p.at] and h.task_id = w.tasks[p.at] and h.seq <= 16 and h.head = e.head offset 0
        ) then null else e.head end,
        e.body::json
    from written w
    cross join unnest($15::int4[], $16::int4[], $17::int4[], $18::int2[], $19::bool[], $20::text[], $21::bool[], $22::text[])
        as e (write, nth, attempt, kind, speaks, head, asks, body)
    cross join lateral (select array_position(w.places, e.write) as at offset 0) p
    where p.at is not null
), ended as (
    delete from runs r
    using state s
    where s.settles and r.owner_id = any(array[s.owner_id]) and r.task_id = s.task_id
)
select place, last_seq from state";

/// Timeout after which the locking path is taken, as the connection is probably dead.
///
/// A live server cancels the abandoned statement and releases its locks. If it commits anyway, one
/// of the two paths finds what the other has written.
const FAST_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Performs the eligible writes; returns each outcome, or `None` for a write that the locking path
/// must do.
pub async fn write(db: &Db, writes: &[RunWrite]) -> Vec<Option<WriteOutcome>> {
    let mut done = vec![None; writes.len()];
    let (eligible, repeats) = eligible(writes);
    if eligible.is_empty() {
        return done;
    }
    match execute(db, &eligible).await {
        Ok(lasts) => {
            let mut grown = Vec::with_capacity(lasts.len());
            for (position, last) in lasts {
                // A write without a row failed a check; the locking path decides it.
                let Some(write) = writes.get(position) else { continue };
                grown.push((write.key(), last));
                done[position] = Some(match write {
                    RunWrite::Append(_) => WriteOutcome::Append(Appended::Now { last }),
                    RunWrite::Settle(_) => WriteOutcome::Settle(Settled::Now { last }),
                });
            }
            db.signals.publish_growth(grown);
            for (position, first) in repeats {
                if let Some(WriteOutcome::Append(Appended::Now { last })) = done[first] {
                    done[position] = Some(WriteOutcome::Append(Appended::Already { last }));
                }
            }
        }
        Err(failure) => tracing::debug!(?failure, "fast path failed; using the locking path"),
    }
    done
}

async fn execute(
    db: &Db,
    eligible: &BTreeMap<TaskKey, FastWrite<'_>>,
) -> DbResult<Vec<(usize, Seq)>> {
    let mut connection = db.connection().await?;
    let Ok(rows) = timeout(FAST_WRITE_TIMEOUT, bind(eligible).fetch_all(&mut *connection)).await
    else {
        // Closing the socket lets the server cancel the statement and release its locks.
        connection.abandon();
        return Err(DbError::ConnectionLost("the database does not answer".to_owned()));
    };
    let rows = rows?;
    connection.release();
    rows.iter().map(position_and_last).collect()
}

fn position_and_last(row: &PgRow) -> DbResult<(usize, Seq)> {
    let position: i32 = column(row, "place")?;
    Ok((usize::try_from(position).unwrap_or(usize::MAX), Seq(column(row, "last_seq")?)))
}

/// A write that is eligible for the fast path, judging by its content.
struct FastWrite<'a> {
    /// Position in the batch.
    position: i32,
    output: &'a EncodedAppend,
    /// States that it may follow, as bits.
    states: i32,
    /// Last message that the executor has read, for a settle.
    settles: Option<Seq>,
    /// Last status among its entries, and that entry's number, from 1.
    status: Option<(TaskState, i32)>,
}

/// Positions of a repeated append and of the original.
type RepeatedWrite = (usize, usize);

/// Selects the eligible writes by task: those that are their task's only write in the batch, apart
/// from repeats.
fn eligible(writes: &[RunWrite]) -> (BTreeMap<TaskKey, FastWrite<'_>>, Vec<RepeatedWrite>) {
    let mut eligible = BTreeMap::new();
    let mut repeats = Vec::new();
    let mut firsts = BTreeMap::new();
    for (position, write) in writes.iter().enumerate() {
        let key = write.key();
        match firsts.entry(key) {
            Entry::Vacant(first) => {
                first.insert(position);
                eligible.extend(FastWrite::new(position, write).map(|write| (key, write)));
            }
            Entry::Occupied(first) if is_repeat(&writes[*first.get()], write) => {
                repeats.push((position, *first.get()));
            }
            // The statement applies one write per task, so leave several to the locking path.
            Entry::Occupied(_) => {
                eligible.remove(&key);
            }
        }
    }
    (eligible, repeats)
}

/// Returns whether the second write repeats the first, as after a caller's timeout.
fn is_repeat(first: &RunWrite, second: &RunWrite) -> bool {
    let (RunWrite::Append(first), RunWrite::Append(second)) = (first, second) else { return false };
    (first.append.fence, first.append.op) == (second.append.fence, second.append.op)
}

impl<'a> FastWrite<'a> {
    fn new(position: usize, write: &'a RunWrite) -> Option<Self> {
        let output = write.output();
        let (last, settles) = match write {
            RunWrite::Append(_) => (None, None),
            RunWrite::Settle(ending) => match ending.how {
                SettleAs::End(end) => (Some(end.state()), Some(ending.read_up_to)),
                SettleAs::Park(parked) => (Some(parked.state()), Some(ending.read_up_to)),
                SettleAs::Retry(_) | SettleAs::Release => return None,
            },
        };
        let Append { entries, blobs, checkpoints, .. } = &output.append;
        // Blobs, checkpoints and dead letters are other tables, which only the locking path writes.
        let more = !blobs.is_empty() || !checkpoints.is_empty();
        if more || entries.is_empty() || output.entries.iter().any(|entry| entry.failed.is_some()) {
            return None;
        }
        // A fence is valid only while the task is submitted or working.
        let before = [TaskState::Submitted, TaskState::Working]
            .into_iter()
            .filter(|state| check_output(*state, entries, last).is_ok())
            .fold(0, |bits, state| bits | 1 << state.number());
        let status =
            (1..).zip(&output.entries).filter_map(|(nth, entry)| Some((entry.state?, nth)));
        (before != 0).then_some(Self {
            position: i32::try_from(position).ok()?,
            output,
            states: before,
            settles,
            status: status.last(),
        })
    }

    /// Rows of the entries, each with the artifact that it may begin and whether the log must be
    /// asked.
    fn entries(&self) -> impl Iterator<Item = FastEntryRow<'a>> + use<'a> {
        let (write, attempt) = (self.position, self.output.append.attempt);
        let mut begun: BTreeSet<&ArtifactId> = BTreeSet::new();
        (1..).zip(&self.output.entries).map(move |(nth, entry)| {
            let (head, asks) = match &entry.artifact {
                Some((id, appended)) => {
                    // Only the first appended chunk per artifact checks the log for its start.
                    let first = begun.insert(id);
                    ((first || !appended).then(|| id.as_str()), *appended)
                }
                None => (None, false),
            };
            FastEntryRow { write, nth, attempt, encoded: entry, head, asks }
        })
    }
}

/// An entry as a row.
struct FastEntryRow<'a> {
    write: i32,
    nth: i32,
    attempt: i32,
    encoded: &'a EncodedEntry,
    head: Option<&'a str>,
    asks: bool,
}

type PgQuery<'q> = sqlx_core::query::Query<'q, Postgres, PgArguments>;

fn bind<'q>(eligible: &BTreeMap<TaskKey, FastWrite<'q>>) -> PgQuery<'q> {
    let all = || eligible.values();
    let appends = || all().map(|w| &w.output.append);
    let length = |w: &FastWrite<'_>| i32::try_from(w.output.entries.len()).unwrap_or(i32::MAX);
    let query = query(WRITE_FAST)
        .bind(all().map(|w| w.position).collect::<Vec<_>>())
        .bind(appends().map(|a| a.key.owner.0).collect::<Vec<_>>())
        .bind(appends().map(|a| a.key.task.uuid()).collect::<Vec<_>>())
        .bind(appends().map(|a| a.fence.epoch.0).collect::<Vec<_>>())
        .bind(appends().map(|a| a.fence.token).collect::<Vec<_>>())
        .bind(appends().map(|a| a.op).collect::<Vec<_>>())
        .bind(all().map(|w| w.states).collect::<Vec<_>>())
        .bind(all().map(|w| w.settles.map_or(i64::MAX, |read| read.0)).collect::<Vec<_>>())
        .bind(all().map(length).collect::<Vec<_>>())
        .bind(all().map(|w| w.status.map(|(state, _)| state.number())).collect::<Vec<_>>())
        .bind(all().map(|w| w.status.map(|(_, nth)| nth)).collect::<Vec<_>>())
        .bind(all().map(|w| w.status.is_some_and(|(s, _)| s.is_terminal())).collect::<Vec<_>>())
        .bind(all().map(|w| w.settles.is_some()).collect::<Vec<_>>());
    bind_entries(query, eligible)
}

fn bind_entries<'q>(
    query: PgQuery<'q>,
    eligible: &BTreeMap<TaskKey, FastWrite<'q>>,
) -> PgQuery<'q> {
    let entries: Vec<FastEntryRow<'q>> = eligible.values().flat_map(FastWrite::entries).collect();
    query
        .bind(BODY_SCHEMA)
        .bind(entries.iter().map(|e| e.write).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.nth).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.attempt).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.encoded.kind.number()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.encoded.has_message).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.head).collect::<Vec<Option<&str>>>())
        .bind(entries.iter().map(|e| e.asks).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.encoded.text.as_str()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{EntryBody, Epoch, Fence, OwnerId, TaskId, log::StatusChange};
    use uuid::Uuid;

    fn append(task: u128, op: i32) -> RunWrite {
        RunWrite::Append(EncodedAppend::from(Append {
            key: TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(Uuid::from_u128(task)) },
            fence: Fence { epoch: Epoch(1), token: Uuid::from_u128(9) },
            op,
            attempt: 1,
            entries: vec![EntryBody::Status(StatusChange::to(TaskState::Working))],
            blobs: vec![],
            checkpoints: vec![],
        }))
    }

    #[test]
    fn tasks_with_several_writes_are_not_eligible_but_repeats_are_recognised() {
        let writes = [append(1, 1), append(2, 1), append(1, 1), append(2, 2), append(3, 1)];
        let (eligible, repeats) = eligible(&writes);
        let places: Vec<i32> = eligible.values().map(|write| write.position).collect();
        assert_eq!((places, repeats), (vec![0, 4], vec![(2, 0)]));
    }
}
