//! Handing out runs: to a worker with a lease, in [turns](super::turns), within the limits of the agent.

use super::{
    checkpoints,
    turns::{Owner, Queue, Turns},
};
use crate::{
    concurrency,
    db::{self, statements},
    error::{Fault, Result},
    leases::Leases,
    queue::Stage,
    read::task,
    row,
    writer::Tx,
};
use longhaul_domain::{EntryBody, Epoch, Fence, Seq, TaskKey, log::UserMessage};
use longhaul_store::{AgentSlots, ClaimRequest, ClaimedRun, MAX_OPENING_BYTES, StoreError};
use rusqlite::Row;
use std::{collections::VecDeque, time::Duration};

statements! {
    FIRST = "-- store::claim
        SELECT owner_id, task, run_at, attempt, epoch, cancel_at, trace, losses, concurrency_key
        FROM runs INDEXED BY runs_queued
        WHERE agent = ?1 AND worker IS NULL AND stage = 0 AND owner_id = ?2
          AND (?4 IS NULL OR version IS NULL OR version = ?4)
          AND (cancel_at IS NULL OR cancel_at > ?3)
          AND NOT EXISTS (SELECT 1 FROM task_state s
                          WHERE s.owner_id = runs.owner_id AND s.task = runs.task AND s.deadline_at <= ?3)
        ORDER BY priority DESC, run_at, task
        LIMIT 1";
    TAKE = "-- store::claim
        UPDATE runs SET worker = ?3, epoch = ?4, token = ?5, version = coalesce(?6, version), queue_until = NULL
        WHERE owner_id = ?1 AND task = ?2";
    // The length of a text is known without reading it.
    OPENING = "-- store::claim
        SELECT kind, body FROM log WHERE owner_id = ?1 AND task = ?2 AND seq = ?3 AND octet_length(body) <= ?4";
    POSTPONE = "-- store::postpone
        UPDATE runs SET worker = NULL, token = NULL, epoch = epoch + 1, run_at = ?3, stage = 1
        WHERE owner_id = ?1 AND task = ?2";
}

/// For how long a run that cannot be read is put off.
const PUT_OFF: Duration = Duration::from_secs(60);

/// Who claims, as it is written.
pub struct WorkerName(String);

/// A run that may be handed out.
struct Due {
    key: TaskKey,
    run_at: i64,
    attempt: i32,
    epoch: i32,
    cancel: bool,
    trace: Option<String>,
    losses: i32,
    concurrency_key: Option<String>,
}

impl Due {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            key: row::key_at(row)?,
            run_at: row.get(2)?,
            attempt: row.get(3)?,
            epoch: row.get(4)?,
            cancel: row.get::<_, Option<i64>>(5)?.is_some(),
            trace: row.get(6)?,
            losses: row.get(7)?,
            concurrency_key: row.get(8)?,
        })
    }
}

pub fn claim(
    tx: &mut Tx<'_>,
    leases: &Leases,
    turns: &mut Turns,
    request: &ClaimRequest,
) -> Result<Vec<ClaimedRun>> {
    let mut claimed = Vec::new();
    if !leases.goes_on(request.worker, tx.now) {
        return Ok(claimed);
    }
    let worker = WorkerName(request.worker.to_string());
    let queues = request.slots.iter().map(|slots| Queue::open(tx, turns, slots));
    let mut queues = queues.collect::<Result<VecDeque<_>>>()?;
    queues.rotate_left(turns.first_agent(request.slots.len()) % request.slots.len().max(1));
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    while claimed.len() < limit
        && let Some(mut queue) = queues.pop_front()
    {
        if let Some(run) = queue.claim(tx, turns, &worker)? {
            claimed.push(run);
            queues.push_back(queue);
        }
    }
    Ok(claimed)
}

/// Claims the first run of an owner that may be started, and moves aside what stands before it and may not.
pub fn first_of(
    tx: &mut Tx<'_>,
    slots: &AgentSlots,
    owner: &mut Owner,
    worker: &WorkerName,
) -> Result<Option<ClaimedRun>> {
    let agent = slots.agent.as_str();
    while owner.room > 0 && owner.moves > 0 {
        let params = (agent, owner.id, tx.now, slots.pinned.as_deref());
        let Some(due) = db::one(tx.conn, FIRST, params, Due::from_row)? else { return Ok(None) };
        let (key, concurrency_key) = (due.key, due.concurrency_key.clone());
        if let Some(name) = &concurrency_key
            && !has_room(tx, slots, owner.id, name)?
        {
            concurrency::move_to(tx.conn, key, Stage::HeldBack)?;
            owner.moves -= 1;
            continue;
        }
        let claimed = match take(tx, slots, worker, due) {
            Ok(claimed) => {
                owner.room -= 1;
                Some(claimed)
            }
            Err(fault) if fault.is_about_a_row() => {
                postpone(tx, key, fault)?;
                owner.moves -= 1;
                None
            }
            Err(fault) => return Err(fault),
        };
        // Of the runs that wait for the key there may be one more than has room, as limits change.
        if let Some(name) = &concurrency_key
            && has_room(tx, slots, owner.id, name)?
        {
            concurrency::release_one(tx, agent, owner.id, name)?;
        }
        if claimed.is_some() {
            return Ok(claimed);
        }
    }
    Ok(None)
}

/// Whether one more run of a concurrency key may be started.
fn has_room(tx: &Tx<'_>, slots: &AgentSlots, owner: i32, key: &str) -> Result<bool> {
    let Some(most) = slots.limits.per_key else { return Ok(true) };
    Ok(concurrency::running_of_key(tx.conn, slots.agent.as_str(), owner, key)? < most)
}

/// Puts a run off that cannot be read, so that it holds nobody up.
pub fn postpone(tx: &Tx<'_>, key: TaskKey, fault: Fault) -> Result<()> {
    let error = StoreError::from(fault);
    tracing::error!(task = %key.task, %error, "a run cannot be read and is put off");
    let later = tx.now.saturating_add(row::millis(PUT_OFF));
    db::run(tx.conn, POSTPONE, (key.owner.0, key.task.to_string(), later))?;
    Ok(())
}

/// The first message of a task, where it is small.
fn opening(tx: &Tx<'_>, key: TaskKey, seq: Seq) -> Result<Option<UserMessage>> {
    let most = i64::try_from(MAX_OPENING_BYTES).unwrap_or(i64::MAX);
    let params = (key.owner.0, key.task.to_string(), seq.0, most);
    let body = db::one(tx.conn, OPENING, params, |row| row::body(row, 0, 1))?;
    match body {
        None => Ok(None),
        Some(EntryBody::Message(user)) => Ok(Some(user)),
        Some(_) => Err(row::corrupt("task_state.message_seq", "not a message")),
    }
}

/// Gives a run to a worker. Its facts are read here, in the same transaction: a run that could not be read would
/// otherwise be held by a worker that never heard of it.
fn take(tx: &Tx<'_>, slots: &AgentSlots, worker: &WorkerName, due: Due) -> Result<ClaimedRun> {
    let fence = Fence { epoch: Epoch(due.epoch.saturating_add(1)), token: tx.ids.token() };
    let key = due.key;
    let (owner, task) = (key.owner.0, key.task.to_string());
    let (epoch, token) = (fence.epoch.0, fence.token.to_string());
    db::run(tx.conn, TAKE, (owner, task, &worker.0, epoch, token, slots.pinned.as_deref()))?;
    let facts =
        task::facts(tx.conn, key)?.ok_or_else(|| row::corrupt("runs.task", "no such task"))?;
    let opening = if facts.last_seq == facts.message_seq && facts.last_seq == Seq::START.next() {
        opening(tx, key, facts.message_seq)?
    } else {
        None
    };
    // What was never claimed before has kept nothing.
    let has_checkpoints = due.epoch > 0 && checkpoints::any(tx.conn, key)?;
    let waited = u64::try_from(tx.now - due.run_at).unwrap_or(0);
    Ok(ClaimedRun {
        key,
        agent: facts.agent,
        context: facts.context,
        created_at: facts.created_at,
        fence,
        attempt: due.attempt,
        turn: facts.turn,
        state: facts.state,
        last_seq: facts.last_seq,
        message_seq: facts.message_seq,
        opening,
        cancel: due.cancel,
        waited: Duration::from_millis(waited),
        trace: due.trace,
        deadline: facts.deadline,
        deadline_in: facts.deadline.map(|deadline| {
            let left = deadline.timestamp_millis().saturating_sub(tx.now);
            Duration::from_millis(u64::try_from(left).unwrap_or_default())
        }),
        has_checkpoints,
        losses: due.losses,
    })
}
