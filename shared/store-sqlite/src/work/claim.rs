//! Claims: runs are handed to a worker with a valid lease, in fair order and within the limits of
//! the agent.
//!
//! Agents take turns, and the owners of an agent take turns. The next owner is one step in an
//! index, however long the queues are; the queue of an owner is not scanned. The last owner served
//! is remembered for each agent, so the turns continue over claims. A restart forgets it, which
//! costs an owner at most one turn.

use super::output::has_checkpoints;
use crate::{
    db::{self, statements},
    error::{DbResult, SqliteError},
    leases::Leases,
    queue::{self, RunStage},
    read::task,
    row,
    writer::Tx,
};
use longhaul_domain::{AgentName, EntryBody, Epoch, Fence, Seq, TaskKey, log::UserMessage};
use longhaul_store::{AgentSlots, ClaimRequest, ClaimedRun, MAX_OPENING_BYTES, StoreError};
use rusqlite::Row;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

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
    // SQLite knows the length of a text without reading it.
    OPENING = "-- store::claim
        SELECT kind, body FROM log WHERE owner_id = ?1 AND task = ?2 AND seq = ?3 AND octet_length(body) <= ?4";
    POSTPONE = "-- store::postpone
        UPDATE runs SET worker = NULL, token = NULL, epoch = epoch + 1, run_at = ?3, stage = 1
        WHERE owner_id = ?1 AND task = ?2";
    NEXT_OWNER = "-- store::claim
        SELECT owner_id FROM runs INDEXED BY runs_queued
        WHERE agent = ?1 AND worker IS NULL AND stage = 0 AND owner_id > ?2
        ORDER BY owner_id LIMIT 1";
}

/// Delay of a run that cannot be read.
const UNREADABLE_RUN_DELAY: Duration = Duration::from_secs(60);

/// Id of the claiming worker, as text.
pub struct WorkerName(String);

/// A run that may be handed out.
struct RunnableRun {
    key: TaskKey,
    run_at: i64,
    attempt: i32,
    epoch: i32,
    cancel: bool,
    trace: Option<String>,
    losses: i32,
    concurrency_key: Option<String>,
}

impl RunnableRun {
    fn from_row(row: &Row<'_>) -> DbResult<Self> {
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
    order: &mut ClaimOrder,
    request: &ClaimRequest,
) -> DbResult<Vec<ClaimedRun>> {
    let mut claimed = Vec::new();
    // Runs given to a worker without a valid lease would be reaped at once.
    if !leases.is_valid(request.worker, tx.now) {
        return Ok(claimed);
    }
    let worker = WorkerName(request.worker.to_string());
    let queues = request.slots.iter().map(|slots| AgentQueue::open(tx, order, slots));
    let mut queues = queues.collect::<DbResult<VecDeque<_>>>()?;
    // Each claim starts with another agent, so that no agent is always served first.
    queues.rotate_left(order.first_agent(request.slots.len()) % request.slots.len().max(1));
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    while claimed.len() < limit
        && let Some(mut queue) = queues.pop_front()
    {
        if let Some(run) = queue.claim(tx, order, &worker)? {
            claimed.push(run);
            queues.push_back(queue);
        }
    }
    Ok(claimed)
}

/// Claims the first run of an owner that may start, and moves the runs before it that may not.
pub fn first_of(
    tx: &mut Tx<'_>,
    slots: &AgentSlots,
    owner: &mut OwnerQueue,
    worker: &WorkerName,
) -> DbResult<Option<ClaimedRun>> {
    let agent = slots.agent.as_str();
    while owner.startable > 0 && owner.moves > 0 {
        let params = (agent, owner.id, tx.now, slots.pinned.as_deref());
        let Some(due) = db::one(tx.conn, FIRST, params, RunnableRun::from_row)? else {
            return Ok(None);
        };
        let (key, concurrency_key) = (due.key, due.concurrency_key.clone());
        if let Some(name) = &concurrency_key
            && !has_room(tx, slots, owner.id, name)?
        {
            queue::move_to(tx.conn, key, RunStage::HeldBack)?;
            owner.moves -= 1;
            continue;
        }
        let claimed = match take(tx, slots, worker, due) {
            Ok(claimed) => {
                owner.startable -= 1;
                Some(claimed)
            }
            Err(error) if error.is_about_a_row() => {
                postpone(tx, key, error)?;
                owner.moves -= 1;
                None
            }
            Err(error) => return Err(error),
        };
        // Limits change, so there may be more ready runs than the key has room for.
        if let Some(name) = &concurrency_key
            && has_room(tx, slots, owner.id, name)?
        {
            queue::release_one(tx, agent, owner.id, name)?;
        }
        if claimed.is_some() {
            return Ok(claimed);
        }
    }
    Ok(None)
}

/// Returns whether one more run of a concurrency key may start.
fn has_room(tx: &Tx<'_>, slots: &AgentSlots, owner: i32, key: &str) -> DbResult<bool> {
    let Some(limit) = slots.limits.per_key else { return Ok(true) };
    Ok(queue::running_of_key(tx.conn, slots.agent.as_str(), owner, key)? < limit)
}

/// Postpones a run that cannot be read, so that it does not block the queue.
pub fn postpone(tx: &Tx<'_>, key: TaskKey, error: SqliteError) -> DbResult<()> {
    let error = StoreError::from(error);
    tracing::error!(task_id = %key.task, %error, "run postponed: unreadable");
    let later = tx.now.saturating_add(row::millis(UNREADABLE_RUN_DELAY));
    db::run(tx.conn, POSTPONE, (key.owner.0, key.task.to_string(), later))?;
    Ok(())
}

/// Reads the first message of a task, if it is small.
fn opening(tx: &Tx<'_>, key: TaskKey, seq: Seq) -> DbResult<Option<UserMessage>> {
    let limit = i64::try_from(MAX_OPENING_BYTES).unwrap_or(i64::MAX);
    let params = (key.owner.0, key.task.to_string(), seq.0, limit);
    let body = db::one(tx.conn, OPENING, params, |row| row::body(row, 0, 1))?;
    match body {
        None => Ok(None),
        Some(EntryBody::Message(user)) => Ok(Some(user)),
        Some(_) => Err(row::corrupt("task_state.message_seq", "not a message")),
    }
}

/// Hands a run to a worker. Its facts are read in the same transaction: otherwise a run that cannot
/// be read would be held by a worker that never heard of it.
fn take(
    tx: &Tx<'_>,
    slots: &AgentSlots,
    worker: &WorkerName,
    due: RunnableRun,
) -> DbResult<ClaimedRun> {
    let fence = Fence { epoch: Epoch(due.epoch.saturating_add(1)), token: tx.ids.token() };
    let key = due.key;
    let (owner, task) = (key.owner.0, key.task.to_string());
    let (epoch, token) = (fence.epoch.0, fence.token.to_string());
    db::run(tx.conn, TAKE, (owner, task, &worker.0, epoch, token, slots.pinned.as_deref()))?;
    let task_row =
        task::task_row(tx.conn, key)?.ok_or_else(|| row::corrupt("runs.task", "no such task"))?;
    let opening =
        if task_row.last_seq == task_row.message_seq && task_row.last_seq == Seq::START.next() {
            opening(tx, key, task_row.message_seq)?
        } else {
            None
        };
    // A run that was never claimed has no checkpoints.
    let has_checkpoints = due.epoch > 0 && has_checkpoints(tx.conn, key)?;
    let waited = u64::try_from(tx.now - due.run_at).unwrap_or(0);
    Ok(ClaimedRun {
        key,
        agent: task_row.agent,
        context: task_row.context,
        created_at: task_row.created_at,
        fence,
        attempt: due.attempt,
        turn: task_row.turn,
        state: task_row.state,
        last_seq: task_row.last_seq,
        message_seq: task_row.message_seq,
        opening,
        cancel: due.cancel,
        waited: Duration::from_millis(waited),
        trace: due.trace,
        deadline: task_row.deadline,
        deadline_in: task_row.deadline.map(|deadline| {
            let left = deadline.timestamp_millis().saturating_sub(tx.now);
            Duration::from_millis(u64::try_from(left).unwrap_or_default())
        }),
        has_checkpoints,
        losses: due.losses,
    })
}

/// Maximum owners that one claim examines in vain.
const MAX_OWNERS_IN_VAIN: u32 = 200;
/// Maximum runs of one owner that one claim moves to another stage.
const MAX_MOVES_PER_OWNER: u32 = 200;

/// Positions at which claims continue.
#[derive(Debug, Default)]
pub struct ClaimOrder {
    /// The last owner served, by agent.
    owners: HashMap<AgentName, i32>,
    claims: usize,
}

impl ClaimOrder {
    /// Returns the index of the agent to start with.
    pub fn first_agent(&mut self, agents: usize) -> usize {
        self.claims = self.claims.wrapping_add(1);
        self.claims % agents.max(1)
    }

    fn last_owner(&self, agent: &AgentName) -> i32 {
        self.owners.get(agent).copied().unwrap_or(0)
    }

    fn set_last_owner(&mut self, agent: &AgentName, owner: i32) {
        match self.owners.get_mut(agent) {
            Some(last) => *last = owner,
            None => {
                self.owners.insert(agent.clone(), owner);
            }
        }
    }
}

/// An owner with ready runs, as far as is known.
pub struct OwnerQueue {
    pub id: i32,
    /// Remaining runs that may start.
    pub startable: u32,
    /// Remaining runs that may be moved to another stage.
    pub moves: u32,
}

/// The part of one agent's queue that a claim works on.
pub struct AgentQueue<'a> {
    pub slots: &'a AgentSlots,
    /// Remaining runs that may start.
    left: u32,
    /// Owner at which the round began, and the current one; `None`: the round is over.
    start: i32,
    place: Option<i32>,
    wrapped: bool,
    /// Owners that got a run in this claim, in order.
    served: VecDeque<OwnerQueue>,
    attempts_left: u32,
}

impl<'a> AgentQueue<'a> {
    pub fn open(tx: &Tx<'_>, order: &ClaimOrder, slots: &'a AgentSlots) -> DbResult<Self> {
        let startable = match slots.limits.total {
            Some(total) => total.saturating_sub(queue::running(tx.conn, slots.agent.as_str())?),
            None => u32::MAX,
        };
        let start = order.last_owner(&slots.agent);
        Ok(Self {
            slots,
            left: slots.free.min(startable),
            start,
            place: Some(start),
            wrapped: false,
            served: VecDeque::new(),
            attempts_left: MAX_OWNERS_IN_VAIN,
        })
    }

    /// Claims the next run in turn, if one may start.
    pub fn claim(
        &mut self,
        tx: &mut Tx<'_>,
        order: &mut ClaimOrder,
        worker: &WorkerName,
    ) -> DbResult<Option<ClaimedRun>> {
        while self.left > 0
            && let Some(mut owner) = self.next_owner(tx)?
        {
            let claimed = first_of(tx, self.slots, &mut owner, worker)?;
            // An owner without a startable run has had its turn too.
            order.set_last_owner(&self.slots.agent, owner.id);
            if claimed.is_some() {
                self.left -= 1;
                self.served.push_back(owner);
                return Ok(claimed);
            }
            self.attempts_left = self.attempts_left.saturating_sub(1);
        }
        Ok(None)
    }

    /// Returns the next owner of the round; after the round, the owners that got a run, again.
    fn next_owner(&mut self, tx: &Tx<'_>) -> DbResult<Option<OwnerQueue>> {
        let agent = self.slots.agent.as_str();
        while let Some(place) = self.place {
            let next: Option<i32> =
                db::one(tx.conn, NEXT_OWNER, (agent, place), |row| Ok(row.get(0)?))?;
            self.place =
                next.filter(|id| self.attempts_left > 0 && !(self.wrapped && *id > self.start));
            if let Some(id) = self.place {
                return self.owner(tx, id).map(Some);
            }
            if !self.wrapped && self.attempts_left > 0 {
                // The round continues at the smallest owner id and ends where it began.
                self.wrapped = true;
                self.place = Some(i32::MIN);
            }
        }
        Ok(self.served.pop_front())
    }

    fn owner(&self, tx: &Tx<'_>, id: i32) -> DbResult<OwnerQueue> {
        let agent = self.slots.agent.as_str();
        let startable = match self.slots.limits.per_owner {
            Some(limit) => limit.saturating_sub(queue::running_of_owner(tx.conn, agent, id)?),
            None => u32::MAX,
        };
        Ok(OwnerQueue { id, startable, moves: MAX_MOVES_PER_OWNER })
    }
}
