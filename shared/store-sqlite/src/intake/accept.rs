//! Acceptance of client messages: new tasks and follow-ups. A message and its task or wake are one
//! transaction; a repeated message is recognised by its deduplication key.

use super::dedupe;
use crate::{
    db::{self, statements},
    error::DbResult,
    head::{NewEntry, TaskHead, add_blobs, add_entry},
    queue::NewRun,
    row,
    writer::Tx,
};
use longhaul_domain::{
    AgentName, Blob, ContextId, EntryBody, Seq, TaskKey, TaskState, log::StatusChange,
};
use longhaul_store::{
    AcceptNew, Accepted, DedupeKey, FollowedUp, IncomingMessage, MessageLookup, RunOptions,
    TaskBudget, TaskUsage,
};

statements! {
    ADD_TASK = "-- store::accept_new
        INSERT INTO tasks (owner_id, task, agent, context_id, priority, created_at, queue_timeout_ms, concurrency_key)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (owner_id, task) DO NOTHING";
    COUNTED = "-- store::accept_follow_up
        SELECT follow_ups, follow_up_bytes FROM task_state WHERE owner_id = ?1 AND task = ?2";
    COUNT = "-- store::accept_follow_up
        UPDATE task_state SET follow_ups = ?3, follow_up_bytes = ?4 WHERE owner_id = ?1 AND task = ?2";
    ADD_STATE = "-- store::accept_new
        INSERT INTO task_state (owner_id, task, state, status_at, status_seq, last_seq, message_seq, turn, epoch,
                                op_epoch, last_op, deadline_at)
        VALUES (?1, ?2, ?3, ?4, 0, 1, 1, 1, 0, 0, 0, ?5)";
}

/// A message and its attachments, ready for the log.
pub struct IntakeMessage {
    body: EntryBody,
    dedupe: DedupeKey,
    blobs: Vec<Blob>,
    trace: Option<String>,
}

impl From<IncomingMessage> for IntakeMessage {
    fn from(accept: IncomingMessage) -> Self {
        let IncomingMessage { message, dedupe, blobs, trace } = accept;
        Self { body: EntryBody::Message(message), dedupe, blobs, trace }
    }
}

/// A task to create.
pub struct NewTask {
    pub key: TaskKey,
    agent: AgentName,
    context: ContextId,
    options: RunOptions,
    message: IntakeMessage,
}

impl From<AcceptNew> for NewTask {
    fn from(new: AcceptNew) -> Self {
        let AcceptNew { key, agent, context, options, accept } = new;
        Self { key, agent, context, options, message: accept.into() }
    }
}

/// Creates a task, unless the message was accepted before.
pub fn accept_new(tx: &mut Tx<'_>, new: &NewTask) -> DbResult<Accepted> {
    let NewTask { key, agent, context, options, message } = new;
    let key = *key;
    match dedupe::lookup(tx.conn, tx.now, key.owner, &message.dedupe)? {
        MessageLookup::Duplicate { task, seq } => return Ok(Accepted::Duplicate { task, seq }),
        MessageLookup::KeyReused => return Ok(Accepted::KeyReused),
        MessageLookup::Unknown => {}
    }
    let (owner, task, now) = (key.owner.0, key.task.to_string(), tx.now);
    let (priority, concurrency_key) = (options.priority, options.concurrency_key.as_deref());
    let queue_timeout = options.queue_timeout.map(row::millis);
    let (name, context) = (agent.as_str(), context.as_str());
    let row = (owner, &task, name, context, priority, now, queue_timeout, concurrency_key);
    if db::run(tx.conn, ADD_TASK, row)? == 0 {
        return Ok(Accepted::TaskExists);
    }
    let deadline = options.deadline.map(|deadline| deadline.timestamp_millis());
    db::run(tx.conn, ADD_STATE, (owner, &task, TaskState::Submitted.number(), now, deadline))?;
    let seq = Seq::START.next();
    add_entry(tx.conn, key, &NewEntry { seq, at: now, attempt: 0, body: &message.body })?;
    add_blobs(tx.conn, key.owner, &message.blobs)?;
    dedupe::record(tx, key, seq, &message.dedupe)?;
    let delayed = now.saturating_add(row::millis(options.delay));
    let run = NewRun {
        key,
        agent,
        priority,
        run_at: options.not_before.map_or(delayed, |at| delayed.max(row::not_before(at))),
        epoch: 0,
        trace: message.trace.as_deref(),
        queue_timeout,
        concurrency_key,
        version: None,
    };
    run.offer(tx)?;
    tx.effects.grown.insert(key, seq);
    let at = row::timestamp(now).ok_or_else(|| row::corrupt("now", "no such time"))?;
    Ok(Accepted::Created { at, seq })
}

/// Appends a message to a task; a parked task wakes.
pub fn accept_follow_up(
    tx: &mut Tx<'_>,
    key: TaskKey,
    message: &IntakeMessage,
    budget: TaskBudget,
) -> DbResult<FollowedUp> {
    match dedupe::lookup(tx.conn, tx.now, key.owner, &message.dedupe)? {
        MessageLookup::Duplicate { task, seq } => return Ok(FollowedUp::Duplicate { task, seq }),
        MessageLookup::KeyReused => return Ok(FollowedUp::KeyReused),
        MessageLookup::Unknown => {}
    }
    let Some(mut head) = TaskHead::load(tx.conn, key)? else { return Ok(FollowedUp::NotFound) };
    if head.state.is_terminal() {
        return Ok(FollowedUp::Ended(head.state));
    }
    if !count(tx, key, &message.body, budget)? {
        return Ok(FollowedUp::OverBudget);
    }
    let before = head.baseline();
    let woken = head.state.is_parked();
    head.append(tx, 0, &message.body)?;
    let seq = head.last_seq;
    add_blobs(tx.conn, key.owner, &message.blobs)?;
    dedupe::record(tx, key, seq, &message.dedupe)?;
    if woken {
        head.append(tx, 0, &EntryBody::Status(StatusChange::to(TaskState::Submitted)))?;
        head.turn += 1;
        head.epoch += 1;
        let run = NewRun {
            key,
            agent: &head.agent,
            priority: head.priority,
            run_at: tx.now,
            epoch: head.epoch,
            trace: message.trace.as_deref(),
            queue_timeout: head.queue_timeout,
            concurrency_key: head.concurrency_key.as_deref(),
            version: head.version.as_deref(),
        };
        run.offer(tx)?;
    } else if crate::queue::Run::load(tx.conn, key)?.is_some_and(|run| run.claimed) {
        tx.effects.messages.push(key);
    }
    head.save(tx, before)?;
    Ok(FollowedUp::Appended { seq, last: head.last_seq, woken })
}

/// Counts one more message of a task; `false`: it exceeds the budget.
fn count(tx: &Tx<'_>, key: TaskKey, body: &EntryBody, budget: TaskBudget) -> DbResult<bool> {
    let (owner, task) = (key.owner.0, key.task.to_string());
    let counted = db::one(tx.conn, COUNTED, (owner, &task), |row| {
        let messages: Option<u32> = row.get(0)?;
        let bytes: Option<i64> = row.get(1)?;
        Ok(TaskUsage {
            messages: messages.unwrap_or_default(),
            bytes: bytes.unwrap_or_default().unsigned_abs(),
        })
    })?
    .unwrap_or_default();
    let bytes = body.encode().len() as u64;
    if !budget.allows(counted, bytes) {
        return Ok(false);
    }
    let TaskUsage { messages, bytes } = counted.with(bytes);
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    db::run(tx.conn, COUNT, (owner, &task, messages, bytes))?;
    Ok(true)
}
