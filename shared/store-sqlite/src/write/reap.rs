//! What is overdue: runs of workers whose lease is over, and cancels that were not obeyed.

use super::{cancel, dedupe};
use crate::{
    db::{self, statements},
    error::Result,
    head::Head,
    queue::Run,
    row,
    writer::Tx,
};
use longhaul_domain::{EntryBody, Note, TaskKey, WorkerId};
use longhaul_store::Reaped;

statements! {
    OVERDUE = "-- store::reap
        SELECT owner_id, task FROM runs WHERE cancel_at < ?1 ORDER BY cancel_at LIMIT ?2";
    LOST = "-- store::reap
        SELECT worker FROM workers WHERE lease_until < ?1 ORDER BY lease_until";
    HELD = "-- store::reap
        SELECT owner_id, task FROM runs WHERE worker = ?1 ORDER BY owner_id, task LIMIT ?2";
    FORGET_WORKER = "-- store::reap
        DELETE FROM workers WHERE worker = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.worker = ?1)";
}

/// Old message keys that are forgotten in one go.
const FORGOTTEN: u32 = 1_000;

/// Does at most `limit` of what is overdue.
pub fn reap(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Reaped>> {
    dedupe::forget(tx, FORGOTTEN)?;
    let mut reaped = Vec::new();
    for key in db::all(tx.conn, OVERDUE, (tx.now, limit), row::key)? {
        reaped.extend(take_from(tx, key, Why::Overdue)?);
    }
    for worker in db::all(tx.conn, LOST, (tx.now,), |row| Ok(row.get::<_, String>(0)?))? {
        let left = limit.saturating_sub(u32::try_from(reaped.len()).unwrap_or(limit));
        for key in db::all(tx.conn, HELD, (&worker, left), row::key)? {
            reaped.extend(take_from(tx, key, Why::Lost(&worker))?);
        }
        // A worker stays while it has runs left, for the next time.
        db::run(tx.conn, FORGET_WORKER, (&worker,))?;
    }
    Ok(reaped)
}

/// Takes a worker off that goes in good order.
pub fn retire(tx: &mut Tx<'_>, worker: WorkerId) -> Result<Vec<Reaped>> {
    let worker = worker.to_string();
    let mut reaped = Vec::new();
    for key in db::all(tx.conn, HELD, (&worker, u32::MAX), row::key)? {
        reaped.extend(take_from(tx, key, Why::Retired)?);
    }
    db::run(tx.conn, FORGET_WORKER, (&worker,))?;
    Ok(reaped)
}

/// Why a run is taken from its worker.
#[derive(Clone, Copy)]
enum Why<'a> {
    /// It was to stop and did not.
    Overdue,
    /// The worker is lost.
    Lost(&'a str),
    /// The worker goes.
    Retired,
}

fn take_from(tx: &mut Tx<'_>, key: TaskKey, why: Why<'_>) -> Result<Option<Reaped>> {
    let (Some(mut head), Some(mut run)) = (Head::load(tx.conn, key)?, Run::load(tx.conn, key)?)
    else {
        return Ok(None);
    };
    let before = head.before();
    let reaped = match why {
        Why::Retired if run.cancel_at.is_some() => {
            cancel::end(tx, &mut head)?;
            Reaped::Canceled { key }
        }
        Why::Overdue => {
            cancel::end(tx, &mut head)?;
            Reaped::Canceled { key }
        }
        Why::Lost(worker) => {
            let note = Note::WorkerLost { worker: worker.to_owned() };
            head.append(tx, 0, &EntryBody::Note(note))?;
            run.losses = run.losses.saturating_add(1);
            run.due_at = tx.now;
            run.offer_again(tx.conn)?;
            Reaped::Offered { key, agent: head.agent.clone() }
        }
        Why::Retired => {
            run.offer_again(tx.conn)?;
            Reaped::Offered { key, agent: head.agent.clone() }
        }
    };
    head.save(tx, before)?;
    Ok(Some(reaped))
}
