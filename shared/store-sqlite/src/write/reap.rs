//! What is overdue: runs of lost workers, cancels that were not obeyed, time limits that have passed, runs whose time has
//! come.
//!
//! Everything that is done to one task is one step, decided from what is committed at that moment; a crash in the middle
//! leaves all of it to the next look.

use super::{
    cancel, claim, dedupe,
    look::{self, Found},
};
use crate::{
    concurrency,
    db::{self, statements},
    error::Result,
    head::Head,
    leases::Leases,
    queue::{Run, Stage},
    read::log::entry_at,
    row,
    writer::Tx,
};
use longhaul_domain::{AgentName, EntryBody, MessageId, Note, TaskFailure, TaskKey, WorkerId};
use longhaul_store::{PoisonDecision, ReapRequest, Reaped, verdict};
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

/// Old message keys that are forgotten in one go.
const FORGOTTEN: u32 = 1_000;

/// One pass over what is due.
struct Pass<'a, 'b> {
    tx: &'a mut Tx<'b>,
    reap: ReapRequest,
    done: Vec<Reaped>,
}

/// Does what a look has found, at most as much as was asked for. The look is not trusted in anything that matters: what
/// has changed since is seen here.
pub fn reap(
    tx: &mut Tx<'_>,
    leases: &Leases,
    reap: ReapRequest,
    found: &Found,
) -> Result<Vec<Reaped>> {
    dedupe::forget(tx, FORGOTTEN)?;
    let mut pass = Pass { tx, reap, done: Vec::new() };
    if found.overdue {
        pass.lost_workers(leases)?;
        pass.each(Why::Unobeyed, OVERDUE, |now, left| (now, left))?;
        pass.each(Why::TimedOut, TIMED_OUT, |now, left| (now, left))?;
        let grace = row::millis(reap.grace);
        pass.each(Why::Deadline, PASSED, |now, left| (now, now.saturating_sub(grace), left))?;
    }
    pass.promote()?;
    for key in &found.strays {
        if pass.left() == 0 {
            break;
        }
        let freed = concurrency::release_one(pass.tx, &key.agent, key.owner, &key.key)?;
        pass.done.extend(freed.map(|(agent, key)| Reaped::Due { key, agent }));
    }
    Ok(pass.done)
}

impl Pass<'_, '_> {
    fn left(&self) -> u32 {
        self.reap.limit.saturating_sub(u32::try_from(self.done.len()).unwrap_or(u32::MAX))
    }

    fn lost_workers(&mut self, leases: &Leases) -> Result<()> {
        for id in look::workers(self.tx.conn)? {
            if self.left() == 0 || !leases.take_if_lost(id, self.tx.now) {
                continue;
            }
            let worker = id.to_string();
            let max_losses = self.reap.max_losses;
            let before = max_losses.saturating_sub(1);
            let count = |row: &rusqlite::Row<'_>| Ok(row.get::<_, u32>(0)?);
            let suspects = db::one(self.tx.conn, SUSPECTS, (&worker, before), count)?;
            let suspects = suspects.unwrap_or(0);
            // They come first and are judged together: one that was left for the next look would seem to be alone.
            let most = self.left().max(suspects);
            let held = db::all(self.tx.conn, HELD, (&worker, most), row::key)?;
            let suspects = suspects as usize;
            for (place, key) in held.into_iter().enumerate() {
                let why = Why::Lost { worker: &worker, max_losses, place, suspects };
                self.done.extend(take_alone(self.tx, key, why)?);
            }
            // A worker stays while it has runs left, for the next time.
            db::run(self.tx.conn, FORGET_WORKER, (&worker,))?;
        }
        Ok(())
    }

    /// Ends tasks for one reason.
    fn each<P: Params>(
        &mut self,
        why: Why<'_>,
        sql: &str,
        params: impl FnOnce(i64, u32) -> P,
    ) -> Result<()> {
        let params = params(self.tx.now, self.left());
        for key in db::all(self.tx.conn, sql, params, row::key)? {
            self.done.extend(take_alone(self.tx, key, why)?);
        }
        Ok(())
    }

    /// Makes ready what has become due.
    fn promote(&mut self) -> Result<()> {
        let due: Vec<(TaskKey, AgentName)> =
            db::all(self.tx.conn, DUE, (self.tx.now, self.left()), |row| {
                Ok((row::key(row)?, row::agent(row)?))
            })?;
        for (key, agent) in due {
            concurrency::move_to(self.tx.conn, key, Stage::Ready)?;
            self.done.push(Reaped::Due { key, agent });
        }
        Ok(())
    }
}

/// Takes a worker off that goes in good order.
pub fn retire(tx: &mut Tx<'_>, leases: &Leases, worker: WorkerId) -> Result<Vec<Reaped>> {
    leases.end(worker);
    let worker = worker.to_string();
    let mut reaped = Vec::new();
    for key in db::all(tx.conn, HELD, (&worker, u32::MAX), row::key)? {
        reaped.extend(take_alone(tx, key, Why::Retired)?);
    }
    db::run(tx.conn, FORGET_WORKER, (&worker,))?;
    Ok(reaped)
}

/// Why something is done to a task.
#[derive(Clone, Copy)]
enum Why<'a> {
    /// It was to stop and did not.
    Unobeyed,
    /// Its worker is lost.
    Lost { worker: &'a str, max_losses: u32, place: usize, suspects: usize },
    /// Its worker goes.
    Retired,
    /// Nobody started it in time.
    TimedOut,
    /// It had not ended by its deadline.
    Deadline,
}

/// Does what there is to do to one task. One that cannot be read is put off, so that it holds nobody up.
fn take_alone(tx: &mut Tx<'_>, key: TaskKey, why: Why<'_>) -> Result<Option<Reaped>> {
    match db::alone(tx.conn, || take_from(tx, key, why)) {
        Err(fault) if fault.is_about_a_row() => {
            claim::postpone(tx, key, fault)?;
            Ok(None)
        }
        done => done,
    }
}

fn take_from(tx: &mut Tx<'_>, key: TaskKey, why: Why<'_>) -> Result<Option<Reaped>> {
    let Some(mut head) = Head::load(tx.conn, key)? else { return Ok(None) };
    if head.state.is_terminal() {
        return Ok(None);
    }
    let before = head.before();
    let run = Run::load(tx.conn, key)?;
    let reaped = match (why, run) {
        (Why::Deadline, run) => {
            let failed = TaskFailure::deadline(attempts(tx, &head, run.as_ref())?);
            fail(tx, &mut head, run.as_ref(), failed)?
        }
        // What is done to a run, and there is none any more.
        (_, None) => return Ok(None),
        (Why::TimedOut, Some(run)) => {
            let failed = TaskFailure::queue_timeout(run.attempts());
            fail(tx, &mut head, Some(&run), failed)?
        }
        (Why::Unobeyed, Some(run)) => canceled(tx, &mut head, &run)?,
        (Why::Retired | Why::Lost { .. }, Some(run)) if run.cancel_at.is_some() => {
            canceled(tx, &mut head, &run)?
        }
        (Why::Lost { worker, max_losses, place, suspects }, Some(run)) => {
            let verdict = verdict(run.losses.saturating_add(1), max_losses, place, suspects);
            lost(tx, &mut head, run, worker, verdict)?
        }
        (Why::Retired, Some(run)) => {
            let again = Run { due_at: run.due_at.min(tx.now), ..run };
            again.offer_again(tx)?;
            Reaped::Offered { key, agent: again.agent }
        }
    };
    head.save(tx, before)?;
    Ok(Some(reaped))
}

fn canceled(tx: &mut Tx<'_>, head: &mut Head, run: &Run) -> Result<Reaped> {
    cancel::end(tx, head, Some(run))?;
    Ok(Reaped::Canceled { key: head.key })
}

/// Offers the run of a lost worker again, unless it has cost too many of them.
fn lost(
    tx: &mut Tx<'_>,
    head: &mut Head,
    run: Run,
    worker: &str,
    verdict: PoisonDecision,
) -> Result<Reaped> {
    let losses = run.losses.saturating_add(1);
    let delay = match verdict {
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

/// Ends a task as failed, in the name of nobody, and takes it off the queue. The head is to be saved afterwards.
fn fail(
    tx: &mut Tx<'_>,
    head: &mut Head,
    run: Option<&Run>,
    failed: TaskFailure,
) -> Result<Reaped> {
    let because = failed.because;
    let ids = tx.ids;
    let status =
        failed.status(head.key.task, &head.context, None, || MessageId::from(ids.uuid_v7()));
    head.append(tx, 0, &status)?;
    run.map_or(Ok(()), |run| run.remove(tx))?;
    Ok(Reaped::Failed { key: head.key, because })
}

/// How many attempts there were; of a parked task, the one that parked it tells.
fn attempts(tx: &Tx<'_>, head: &Head, run: Option<&Run>) -> Result<i32> {
    match run {
        Some(run) => Ok(run.attempts()),
        None => Ok(entry_at(tx.conn, head.key, head.status_seq)?.attempt),
    }
}
