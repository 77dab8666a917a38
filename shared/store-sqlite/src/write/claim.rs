//! Handing out runs.

use crate::{
    db::{self, statements},
    error::{Fault, Result},
    read::{log::entry_at, task},
    row,
    writer::Tx,
};
use longhaul_domain::{EntryBody, Epoch, Fence, TaskKey};
use longhaul_store::{ClaimRequest, Claimed, SnapshotOptions, StoreError};
use std::{cmp::Reverse, time::Duration};

statements! {
    DUE = "-- store::claim
        SELECT owner_id, task, priority, run_at, attempt, epoch, cancel_at, trace
        FROM runs
        WHERE agent = ?1 AND worker IS NULL AND run_at <= ?2 AND (cancel_at IS NULL OR cancel_at > ?2)
        ORDER BY priority DESC, run_at, task
        LIMIT ?3";
    TAKE = "-- store::claim
        UPDATE runs SET worker = ?3, epoch = ?4, token = ?5 WHERE owner_id = ?1 AND task = ?2";
    POSTPONE = "-- store::postpone
        UPDATE runs SET worker = NULL, token = NULL, epoch = epoch + 1, run_at = ?3 WHERE owner_id = ?1 AND task = ?2";
}

/// For how long a run that cannot be read is put off.
const PUT_OFF: Duration = Duration::from_secs(60);

/// A run that may be handed out.
struct Due {
    key: TaskKey,
    priority: i16,
    run_at: i64,
    attempt: i32,
    epoch: i32,
    cancel: bool,
    trace: Option<String>,
}

pub fn claim(tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Vec<Claimed>> {
    if !super::workers::has_lease(tx, request.worker)? {
        return Ok(Vec::new());
    }
    let mut due = Vec::new();
    for slots in &request.slots {
        let limit = slots.free.min(request.limit);
        due.extend(db::all(tx.conn, DUE, (slots.agent.as_str(), tx.now, limit), |row| {
            Ok(Due {
                key: row::key(row)?,
                priority: row.get("priority")?,
                run_at: row.get("run_at")?,
                attempt: row.get("attempt")?,
                epoch: row.get("epoch")?,
                cancel: row.get::<_, Option<i64>>("cancel_at")?.is_some(),
                trace: row.get("trace")?,
            })
        })?);
    }
    due.sort_by_key(|due| (Reverse(due.priority), due.run_at, due.key.task, due.key.owner));
    due.dedup_by_key(|due| due.key);
    due.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
    let worker = request.worker.to_string();
    let mut claimed = Vec::with_capacity(due.len());
    for due in due {
        let key = due.key;
        match take(tx, &worker, due) {
            Ok(run) => claimed.push(run),
            Err(fault) if is_about_a_row(&fault) => postpone(tx, key, fault)?,
            Err(fault) => return Err(fault),
        }
    }
    Ok(claimed)
}

/// Whether a stored value cannot be understood, and not the file as a whole.
fn is_about_a_row(fault: &Fault) -> bool {
    match fault {
        Fault::Db(error) => error.sqlite_error_code().is_none(),
        Fault::Store(error) => matches!(error, StoreError::Corrupt { .. }),
    }
}

/// Puts a run off that cannot be read, so that it holds nobody up.
fn postpone(tx: &Tx<'_>, key: TaskKey, fault: Fault) -> Result<()> {
    let error = StoreError::from(fault);
    tracing::error!(task = %key.task, %error, "a run cannot be read and is put off");
    let later = tx.now.saturating_add(row::millis(PUT_OFF));
    db::run(tx.conn, POSTPONE, (key.owner.0, key.task.to_string(), later))?;
    Ok(())
}

/// Gives a run to a worker. What it needs is read here, in the same transaction: a run that could not be read would
/// otherwise be held by a worker that never heard of it.
fn take(tx: &Tx<'_>, worker: &str, due: Due) -> Result<Claimed> {
    let fence = Fence { epoch: Epoch(due.epoch.saturating_add(1)), token: tx.ids.token() };
    let key = due.key;
    let ids = (key.owner.0, key.task.to_string());
    db::run(tx.conn, TAKE, (ids.0, ids.1, worker, fence.epoch.0, fence.token.to_string()))?;
    let facts =
        task::facts(tx.conn, key)?.ok_or_else(|| row::corrupt("runs.task", "no such task"))?;
    let history = task::messages(tx.conn, key, SnapshotOptions::DEFAULT_HISTORY, None)?;
    let request_metadata = match entry_at(tx.conn, key, facts.message_seq)?.body {
        EntryBody::Message(user) => user.request_metadata,
        _ => return Err(row::corrupt("task_state.message_seq", "not a message")),
    };
    let waited = u64::try_from(tx.now - due.run_at).unwrap_or(0);
    Ok(Claimed {
        key,
        agent: facts.agent,
        context: facts.context,
        created_at: facts.created_at,
        fence,
        attempt: due.attempt,
        turn: facts.turn,
        state: facts.state,
        last_seq: facts.last_seq,
        history,
        request_metadata,
        cancel: due.cancel,
        waited: Duration::from_millis(waited),
        trace: due.trace,
    })
}
