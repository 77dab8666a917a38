//! Decides settles under row locks.
//!
//! Cancel and complete race to one winner: both lock the rows, and the second finds the task ended.
//! A message that the executor has not read turns a park into a re-run, and an end too, but only
//! once.

use crate::{
    entry::EncodedEntry,
    work::run_write::EncodedSettle,
    write::{LockedTask, RunStage},
};
use longhaul_domain::{EntryBody, Seq, TaskState, TerminalState, log::StatusChange};
use longhaul_store::{Append, Result, SettleAs, Settled, check_output};

/// Decision about a settling run.
enum SettleDecision {
    /// Append all entries and end the run.
    Over,
    /// Append all entries, except the last unless `keep_last`, then `canceled`.
    Canceled { keep_last: bool },
    /// Append all entries except the final status, and offer the run again at once.
    HandedBack { once: bool },
    /// Append all entries and offer the run again.
    Again(fn(&mut LockedTask, &SettleAs)),
}

/// Decides a settle, and applies it in memory if it is valid.
pub fn settle(task: &mut LockedTask, settle: &EncodedSettle) -> Result<Settled> {
    let fence = settle.output.append.fence;
    let op = settle.output.append.op;
    if !task.is_held_by(fence) {
        return Ok(outcome_without_lease(task, settle));
    }
    // The caller repeats a settle whose answer was lost.
    if task.is_op_done(fence.epoch, op) {
        return Ok(Settled::Already { last: task.last_seq });
    }
    check_entries(task.state, settle)?;
    let decision = decide(task, settle);
    apply(task, settle, &decision);
    task.record_op(fence.epoch, op);
    // Lets a repeat be told from a settle by another run.
    task.settle_token = Some(fence.token);
    let last = task.last_seq;
    Ok(match decision {
        SettleDecision::HandedBack { .. } => Settled::HandedBack { last },
        SettleDecision::Over | SettleDecision::Canceled { .. } | SettleDecision::Again(_) => {
            Settled::Now { last }
        }
    })
}

/// Outcome for a caller that may not write. Distinguishes a repeat of the settle that gave up the
/// run.
fn outcome_without_lease(task: &LockedTask, settle: &EncodedSettle) -> Settled {
    let Append { fence, op, .. } = settle.output.append;
    // A settle is the last operation of its run, even if later runs have written since.
    let over = task.op_epoch != fence.epoch.0 || task.is_op_done(fence.epoch, op);
    if task.settle_token == Some(fence.token) && over {
        Settled::Already { last: task.last_seq }
    } else if task.state.is_terminal() {
        Settled::Ended(task.state)
    } else {
        Settled::Fenced
    }
}

/// Checks that the entries are legal and lead to the state that the settle names.
fn check_entries(state: TaskState, settle: &EncodedSettle) -> Result<()> {
    let last = match &settle.how {
        SettleAs::End(end) => Some(end.state()),
        SettleAs::Park(parked) => Some(parked.state()),
        SettleAs::Retry(_) | SettleAs::Release => None,
    };
    check_output(state, &settle.output.append.entries, last)
}

fn decide(task: &LockedTask, settle: &EncodedSettle) -> SettleDecision {
    let run = task.run.as_ref();
    let canceling = run.is_some_and(|run| run.cancel_at.is_some());
    let unread = task.message_seq > settle.read_up_to;
    let handed_back = run.is_some_and(|run| run.handed_back);
    match settle.how {
        SettleAs::End(end) => {
            // Hand back at most once, and never against a cancel.
            let final_anyway = canceling || handed_back || end == TerminalState::Canceled;
            if unread && !final_anyway {
                SettleDecision::HandedBack { once: true }
            } else {
                SettleDecision::Over
            }
        }
        // A parked task would escape the cancel, so cancel it now.
        SettleAs::Park(_) if canceling => SettleDecision::Canceled { keep_last: false },
        SettleAs::Park(_) if unread => SettleDecision::HandedBack { once: false },
        SettleAs::Park(_) => SettleDecision::Over,
        SettleAs::Retry(_) | SettleAs::Release if canceling => {
            SettleDecision::Canceled { keep_last: true }
        }
        SettleAs::Retry(_) => SettleDecision::Again(retry),
        SettleAs::Release => SettleDecision::Again(|_, _| {}),
    }
}

fn retry(task: &mut LockedTask, how: &SettleAs) {
    let SettleAs::Retry(delay) = how else { return };
    let due = task.time_after(*delay);
    let later = due > task.now;
    if let Some(run) = &mut task.run {
        run.due = due;
        run.attempt += 1;
        if later {
            run.stage = RunStage::Scheduled;
        }
    }
}

fn apply(task: &mut LockedTask, settle: &EncodedSettle, decision: &SettleDecision) {
    let attempt = settle.output.append.attempt;
    let (last, others) = match settle.output.entries.split_last() {
        Some((last, others)) => (Some(last), others),
        None => (None, [].as_slice()),
    };
    for entry in others {
        task.append_entry(entry.clone(), attempt);
    }
    let keep_last = match decision {
        SettleDecision::Over | SettleDecision::Again(_) => true,
        SettleDecision::Canceled { keep_last } => *keep_last,
        SettleDecision::HandedBack { .. } => false,
    };
    if let (true, Some(last)) = (keep_last, last) {
        task.append_entry(last.clone(), attempt);
    }
    match decision {
        SettleDecision::Over => task.remove_run(),
        SettleDecision::Canceled { .. } => {
            cancel_task(task, attempt);
        }
        SettleDecision::HandedBack { once } => {
            let now = task.now;
            if let Some(run) = &mut task.run {
                run.due = now;
                run.handed_back |= once;
            }
            reoffer(task);
        }
        SettleDecision::Again(change) => {
            reoffer(task);
            change(task, &settle.how);
        }
    }
}

/// Offers the run again. Its worker was able to settle, so it was not lost.
fn reoffer(task: &mut LockedTask) {
    if let Some(run) = &mut task.run {
        run.reoffer();
        run.losses = 0;
    }
}

/// Appends the status `canceled`, which is legal in every state that is not terminal, and removes
/// the run.
pub fn cancel_task(task: &mut LockedTask, attempt: i32) -> Seq {
    let canceled = EntryBody::Status(StatusChange::to(TaskState::Canceled));
    let seq = task.append_entry(EncodedEntry::from(&canceled), attempt);
    task.remove_run();
    seq
}
