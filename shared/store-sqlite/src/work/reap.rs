//! The reaper: runs of lost workers, cancels that were not obeyed, passed time limits and due runs.
//!
//! Everything that is done to one task is one step, decided from the committed state. A crash in
//! the middle leaves the rest to the next pass.

use super::{
    claim,
    due_work::{self, DueWork},
};
use crate::{
    db::{self, statements},
    error::DbResult,
    head::TaskHead,
    intake::{cancel, dedupe},
    leases::Leases,
    queue::{self, Run, RunStage},
    read::log::entry_at,
    row,
    writer::Tx,
};
use longhaul_domain::{AgentName, EntryBody, MessageId, Note, TaskFailure, TaskKey, WorkerId};
use longhaul_store::{PoisonDecision, ReapRequest, Reaped, decide_poison};
use rusqlite::Params;

statements! {
    OVERDUE = "-- store::reap
        SELECT owner_id, task FROM runs WHERE cancel_at <= ?1 ORDER BY cancel_at LIMIT ?2";
    TIMED_OUT = "-- store::reap
        SELECT owner_id, task FROM runs WHERE queue_until <= ?1 ORDER BY queue_until LIMIT ?2";
    PASSED = "-- store::reap
        SELECT s.owner_id, s.task FROM task_state s
        WHERE s.deadline_at <= ?1
          AND (s.deadline_at <= ?2
               OR NOT EXISTS (SELECT 1 FROM runs r
                              WHERE r.owner_id = s.owner_id AND r.task = s.task AND r.worker IS NOT NULL))
        ORDER BY s.deadline_at LIMIT ?3";
    DUE = "-- store::reap
        SELECT owner_id, task, agent FROM runs
        WHERE worker IS NULL AND stage = 1 AND run_at <= ?1 ORDER BY run_at LIMIT ?2";
    HELD = "-- store::reap
        SELECT owner_id, task FROM runs WHERE worker = ?1 ORDER BY losses DESC, owner_id, task LIMIT ?2";
    SUSPECTS = "-- store::reap
        SELECT count(*) FROM runs WHERE worker = ?1 AND losses >= ?2";
    FORGET_WORKER = "-- store::reap
        DELETE FROM workers WHERE worker = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.worker = ?1)";
}

/// Maximum deduplication keys to delete in one pass.
const MAX_KEYS_DELETED_PER_PASS: u32 = 1_000;

/// One pass over due work.
struct ReapPass<'a, 'b> {
    tx: &'a mut Tx<'b>,
    reap: ReapRequest,
    done: Vec<Reaped>,
}

/// Processes the work that a search has found, within the limit. The search only says where to
/// look; every decision is made from the data as it is now.
pub fn reap(
    tx: &mut Tx<'_>,
    leases: &Leases,
    reap: ReapRequest,
    found: &DueWork,
) -> DbResult<Vec<Reaped>> {
    dedupe::delete_expired(tx, MAX_KEYS_DELETED_PER_PASS)?;
    let mut pass = ReapPass { tx, reap, done: Vec::new() };
    if found.overdue {
        pass.lost_workers(leases)?;
        pass.each(ReapReason::CancelIgnored, OVERDUE, |now, left| (now, left))?;
        pass.each(ReapReason::QueueTimeout, TIMED_OUT, |now, left| (now, left))?;
        let grace = row::millis(reap.grace);
        pass.each(ReapReason::Deadline, PASSED, |now, left| {
            (now, now.saturating_sub(grace), left)
        })?;
    }
    pass.promote()?;
    for key in &found.orphans {
        if pass.left() == 0 {
            break;
        }
        let freed = queue::release_one(pass.tx, &key.agent, key.owner, &key.key)?;
        pass.done.extend(freed.map(|(agent, key)| Reaped::Due { key, agent }));
    }
    Ok(pass.done)
}

impl ReapPass<'_, '_> {
    fn left(&self) -> u32 {
        self.reap.limit.saturating_sub(u32::try_from(self.done.len()).unwrap_or(u32::MAX))
    }

    fn lost_workers(&mut self, leases: &Leases) -> DbResult<()> {
        for id in due_work::workers(self.tx.conn)? {
            // The lease goes first, so that a heartbeat from now on answers that the worker is
            // lost.
            if self.left() == 0 || !leases.remove_if_lost(id, self.tx.now) {
                continue;
            }
            let worker = id.to_string();
            let max_losses = self.reap.max_losses;
            let before = max_losses.saturating_sub(1);
            let count = |row: &rusqlite::Row<'_>| Ok(row.get::<_, u32>(0)?);
            let suspects = db::one(self.tx.conn, SUSPECTS, (&worker, before), count)?;
            let suspects = suspects.unwrap_or(0);
            // Suspects come first and are judged together: one left for the next pass would seem to
            // have been alone on its worker.
            let limit = self.left().max(suspects);
            let held = db::all(self.tx.conn, HELD, (&worker, limit), row::key)?;
            let suspects = suspects as usize;
            for (place, key) in held.into_iter().enumerate() {
                let reason = ReapReason::Lost { worker: &worker, max_losses, place, suspects };
                self.done.extend(reap_one(self.tx, key, reason)?);
            }
            // A worker with runs left stays for the next pass.
            db::run(self.tx.conn, FORGET_WORKER, (&worker,))?;
        }
        Ok(())
    }

    /// Ends tasks for one reason.
    fn each<P: Params>(
        &mut self,
        reason: ReapReason<'_>,
        sql: &str,
        params: impl FnOnce(i64, u32) -> P,
    ) -> DbResult<()> {
        let params = params(self.tx.now, self.left());
        for key in db::all(self.tx.conn, sql, params, row::key)? {
            self.done.extend(reap_one(self.tx, key, reason)?);
        }
        Ok(())
    }

    /// Makes due runs ready.
    fn promote(&mut self) -> DbResult<()> {
        let due: Vec<(TaskKey, AgentName)> =
            db::all(self.tx.conn, DUE, (self.tx.now, self.left()), |row| {
                Ok((row::key(row)?, row::agent(row)?))
            })?;
        for (key, agent) in due {
            queue::move_to(self.tx.conn, key, RunStage::Ready)?;
            self.done.push(Reaped::Due { key, agent });
        }
        Ok(())
    }
}

/// Removes a worker that shuts down in good order.
pub fn deregister(tx: &mut Tx<'_>, leases: &Leases, worker: WorkerId) -> DbResult<Vec<Reaped>> {
    // A claim that is still queued finds no lease and takes nothing.
    leases.end(worker);
    let worker = worker.to_string();
    let mut reaped = Vec::new();
    for key in db::all(tx.conn, HELD, (&worker, u32::MAX), row::key)? {
        reaped.extend(reap_one(tx, key, ReapReason::Deregistered)?);
    }
    db::run(tx.conn, FORGET_WORKER, (&worker,))?;
    Ok(reaped)
}

/// Reason for reaping a task.
#[derive(Clone, Copy)]
enum ReapReason<'a> {
    /// Ignored cancel request.
    CancelIgnored,
    /// Lost worker.
    Lost { worker: &'a str, max_losses: u32, place: usize, suspects: usize },
    /// Worker that shuts down.
    Deregistered,
    /// Passed queue timeout.
    QueueTimeout,
    /// Passed deadline.
    Deadline,
}

/// Reaps one task. A task that cannot be read is postponed, so that it does not block the others.
fn reap_one(tx: &mut Tx<'_>, key: TaskKey, reason: ReapReason<'_>) -> DbResult<Option<Reaped>> {
    match db::in_savepoint(tx.conn, || decide(tx, key, reason)) {
        Err(error) if error.is_about_a_row() => {
            claim::postpone(tx, key, error)?;
            Ok(None)
        }
        done => done,
    }
}

fn decide(tx: &mut Tx<'_>, key: TaskKey, reason: ReapReason<'_>) -> DbResult<Option<Reaped>> {
    let Some(mut head) = TaskHead::load(tx.conn, key)? else { return Ok(None) };
    if head.state.is_terminal() {
        return Ok(None);
    }
    let before = head.baseline();
    let run = Run::load(tx.conn, key)?;
    let reaped = match (reason, run) {
        (ReapReason::Deadline, run) => {
            let failed = TaskFailure::deadline(attempts(tx, &head, run.as_ref())?);
            fail(tx, &mut head, run.as_ref(), failed)?
        }
        // The other reasons concern a run, and the run is gone.
        (_, None) => return Ok(None),
        (ReapReason::QueueTimeout, Some(run)) => {
            let failed = TaskFailure::queue_timeout(run.attempts());
            fail(tx, &mut head, Some(&run), failed)?
        }
        (ReapReason::CancelIgnored, Some(run)) => canceled(tx, &mut head, &run)?,
        (ReapReason::Deregistered | ReapReason::Lost { .. }, Some(run))
            if run.cancel_at.is_some() =>
        {
            canceled(tx, &mut head, &run)?
        }
        (ReapReason::Lost { worker, max_losses, place, suspects }, Some(run)) => {
            let decision = decide_poison(run.losses.saturating_add(1), max_losses, place, suspects);
            lost(tx, &mut head, run, worker, decision)?
        }
        (ReapReason::Deregistered, Some(run)) => {
            let again = Run { due_at: run.due_at.min(tx.now), ..run };
            again.offer_again(tx)?;
            Reaped::Offered { key, agent: again.agent }
        }
    };
    head.save(tx, before)?;
    Ok(Some(reaped))
}

fn canceled(tx: &mut Tx<'_>, head: &mut TaskHead, run: &Run) -> DbResult<Reaped> {
    cancel::end_as_canceled(tx, head, Some(run))?;
    Ok(Reaped::Canceled { key: head.key })
}

/// Offers the run of a lost worker again, unless the run is poison.
fn lost(
    tx: &mut Tx<'_>,
    head: &mut TaskHead,
    run: Run,
    worker: &str,
    decision: PoisonDecision,
) -> DbResult<Reaped> {
    let losses = run.losses.saturating_add(1);
    let delay = match decision {
        PoisonDecision::Poison => {
            let failed = TaskFailure::poison(losses, run.attempts());
            return fail(tx, head, Some(&run), failed);
        }
        PoisonDecision::OfferAfter(delay) => row::millis(delay),
    };
    head.append(tx, 0, &EntryBody::Note(Note::WorkerLost { worker: worker.to_owned() }))?;
    let again = Run { losses, due_at: tx.now.saturating_add(delay), ..run };
    again.offer_again(tx)?;
    Ok(Reaped::Offered { key: head.key, agent: again.agent })
}

/// Ends a task as failed and removes it from the queue. The caller saves the head.
fn fail(
    tx: &mut Tx<'_>,
    head: &mut TaskHead,
    run: Option<&Run>,
    failed: TaskFailure,
) -> DbResult<Reaped> {
    let because = failed.because;
    let ids = tx.ids;
    let status =
        failed.status(head.key.task, &head.context, None, || MessageId::from(ids.uuid_v7()));
    head.append(tx, 0, &status)?;
    run.map_or(Ok(()), |run| run.remove(tx))?;
    Ok(Reaped::Failed { key: head.key, because })
}

/// Returns the number of attempts; for a parked task, that of the entry that parked it.
fn attempts(tx: &Tx<'_>, head: &TaskHead, run: Option<&Run>) -> DbResult<i32> {
    match run {
        Some(run) => Ok(run.attempts()),
        None => Ok(entry_at(tx.conn, head.key, head.status_seq)?.attempt),
    }
}
