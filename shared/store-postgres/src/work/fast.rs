//! Appends and ends of runs in one statement, which is its own transaction.
//!
//! Whatever a decision in memory would look at is looked at by the statement, once the rows are locked: whether the fence is the
//! present right to write, whether this operation was done, whether the state allows the entries, whether the client has said
//! something unread. A write for which all is as usual is done; of all others nothing is, and they take the long way with
//! locks, decisions and changes, which also tells why. So does everything when the statement fails, also in doubt: what was
//! committed all the same is recognised there. Rows are locked as everywhere: runs first, in the order of their keys.

use crate::{
    column::{BODY_SCHEMA, column},
    db::Db,
    entry::Encoded,
    failure::{DbResult, Failure},
    work::{
        append::Output,
        output::{Write, Wrote},
    },
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

/// Writes for which all is as usual; gives their places and the last entry of each task. The states that a write may follow are
/// bits of a number. An entry finds its task by the place of its write.
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

/// How long it may take before the long way is taken instead: most likely nobody answers on this connection any more. A server
/// that still does ends the statement and lets go of its locks. Should it be carried out all the same, one of the two finds what
/// the other one has written.
const LIMIT: Duration = Duration::from_secs(5);

/// Does those writes for which all is as usual; gives what became of each, `None` for those that are still to be done.
pub async fn run(db: &Db, writes: &[Write]) -> Vec<Option<Wrote>> {
    let mut done = vec![None; writes.len()];
    let (usual, repeats) = usual(writes);
    if usual.is_empty() {
        return done;
    }
    match write(db, &usual).await {
        Ok(lasts) => {
            let mut grown = Vec::with_capacity(lasts.len());
            for (place, last) in lasts {
                let Some(write) = writes.get(place) else { continue };
                grown.push((write.key(), last));
                done[place] = Some(match write {
                    Write::Append(_) => Wrote::Append(Appended::Now { last }),
                    Write::Settle(_) => Wrote::Settle(Settled::Now { last }),
                });
            }
            db.signals.grown(grown);
            for (place, first) in repeats {
                if let Some(Wrote::Append(Appended::Now { last })) = done[first] {
                    done[place] = Some(Wrote::Append(Appended::Already { last }));
                }
            }
        }
        Err(failure) => tracing::debug!(?failure, "writes take the long way"),
    }
    done
}

async fn write(db: &Db, usual: &BTreeMap<TaskKey, Usual<'_>>) -> DbResult<Vec<(usize, Seq)>> {
    let mut connection = db.hot().await?;
    let Ok(rows) = timeout(LIMIT, bind(usual).fetch_all(&mut *connection)).await else {
        connection.abandon();
        return Err(Failure::Lost("the database does not answer".to_owned()));
    };
    let rows = rows?;
    connection.done();
    rows.iter().map(place_and_last).collect()
}

fn place_and_last(row: &PgRow) -> DbResult<(usize, Seq)> {
    let place: i32 = column(row, "place")?;
    Ok((usize::try_from(place).unwrap_or(usize::MAX), Seq(column(row, "last_seq")?)))
}

/// A write that is as usual as far as one can see.
struct Usual<'a> {
    /// Its place in the batch.
    place: i32,
    output: &'a Output,
    /// The states that it may follow, as bits.
    states: i32,
    /// Where it settles: the last message that the executor has read.
    settles: Option<Seq>,
    /// The last status that it brings, and its place among the entries, from 1.
    status: Option<(TaskState, i32)>,
}

/// A repeat of an append, and the append, by their places in the batch.
type Repeat = (usize, usize);

/// The writes that may be done so, by task, of each the only one in the batch but for repeats of it.
fn usual(writes: &[Write]) -> (BTreeMap<TaskKey, Usual<'_>>, Vec<Repeat>) {
    let mut usual = BTreeMap::new();
    let mut repeats = Vec::new();
    let mut firsts = BTreeMap::new();
    for (place, write) in writes.iter().enumerate() {
        let key = write.key();
        match firsts.entry(key) {
            Entry::Vacant(first) => {
                first.insert(place);
                usual.extend(Usual::of(place, write).map(|write| (key, write)));
            }
            Entry::Occupied(first) if repeat(&writes[*first.get()], write) => {
                repeats.push((place, *first.get()));
            }
            Entry::Occupied(_) => {
                usual.remove(&key);
            }
        }
    }
    (usual, repeats)
}

/// Whether the second is the same append as the first, sent again by a caller that has lost patience.
fn repeat(first: &Write, second: &Write) -> bool {
    let (Write::Append(first), Write::Append(second)) = (first, second) else { return false };
    (first.append.fence, first.append.op) == (second.append.fence, second.append.op)
}

impl<'a> Usual<'a> {
    fn of(place: usize, write: &'a Write) -> Option<Self> {
        let output = write.output();
        let (last, settles) = match write {
            Write::Append(_) => (None, None),
            Write::Settle(ending) => match ending.how {
                SettleAs::End(end) => (Some(end.state()), Some(ending.read_up_to)),
                SettleAs::Park(parked) => (Some(parked.state()), Some(ending.read_up_to)),
                SettleAs::Retry(_) | SettleAs::Release => return None,
            },
        };
        let Append { entries, blobs, checkpoints, .. } = &output.append;
        let more = !blobs.is_empty() || !checkpoints.is_empty();
        if more || entries.is_empty() || output.entries.iter().any(|entry| entry.failed.is_some()) {
            return None;
        }
        let before = [TaskState::Submitted, TaskState::Working]
            .into_iter()
            .filter(|state| check_output(*state, entries, last).is_ok())
            .fold(0, |bits, state| bits | 1 << state.number());
        let status =
            (1..).zip(&output.entries).filter_map(|(nth, entry)| Some((entry.state?, nth)));
        (before != 0).then_some(Self {
            place: i32::try_from(place).ok()?,
            output,
            states: before,
            settles,
            status: status.last(),
        })
    }

    /// The entries, each with the artifact that it may begin, and whether the log says if it does.
    fn entries(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let (write, attempt) = (self.place, self.output.append.attempt);
        let mut begun: BTreeSet<&ArtifactId> = BTreeSet::new();
        (1..).zip(&self.output.entries).map(move |(nth, entry)| {
            let (head, asks) = match &entry.artifact {
                Some((id, appended)) => {
                    let first = begun.insert(id);
                    ((first || !appended).then(|| id.as_str()), *appended)
                }
                None => (None, false),
            };
            Line { write, nth, attempt, encoded: entry, head, asks }
        })
    }
}

/// An entry as a row.
struct Line<'a> {
    write: i32,
    nth: i32,
    attempt: i32,
    encoded: &'a Encoded,
    head: Option<&'a str>,
    asks: bool,
}

type Query<'q> = sqlx_core::query::Query<'q, Postgres, PgArguments>;

fn bind<'q>(usual: &BTreeMap<TaskKey, Usual<'q>>) -> Query<'q> {
    let all = || usual.values();
    let appends = || all().map(|w| &w.output.append);
    let length = |w: &Usual<'_>| i32::try_from(w.output.entries.len()).unwrap_or(i32::MAX);
    let query = query(WRITE_FAST)
        .bind(all().map(|w| w.place).collect::<Vec<_>>())
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
    bind_entries(query, usual)
}

fn bind_entries<'q>(query: Query<'q>, usual: &BTreeMap<TaskKey, Usual<'q>>) -> Query<'q> {
    let entries: Vec<Line<'q>> = usual.values().flat_map(Usual::entries).collect();
    query
        .bind(BODY_SCHEMA)
        .bind(entries.iter().map(|e| e.write).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.nth).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.attempt).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.encoded.kind.number()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.encoded.speaks).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.head).collect::<Vec<Option<&str>>>())
        .bind(entries.iter().map(|e| e.asks).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.encoded.text.as_str()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{EntryBody, Epoch, Fence, OwnerId, TaskId, log::StatusChange};
    use uuid::Uuid;

    fn append(task: u128, op: i32) -> Write {
        Write::Append(Output::from(Append {
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
    fn of_several_writes_to_a_task_none_is_usual_but_repeats_are_known() {
        let writes = [append(1, 1), append(2, 1), append(1, 1), append(2, 2), append(3, 1)];
        let (usual, repeats) = usual(&writes);
        let places: Vec<i32> = usual.values().map(|write| write.place).collect();
        assert_eq!((places, repeats), (vec![0, 4], vec![(2, 0)]));
    }
}
