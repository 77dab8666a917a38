//! Ending a run: what is decided once the rows are locked.
//!
//! Cancel and complete race to one winner: both come here with the rows locked, and the second finds the task ended. A
//! message that the executor has not read turns a park into a re-run, and an end into one too, once.

use crate::{
    entry::Encoded,
    work::append::{Output, may_write},
    write::{LockedTask, Stage},
};
use longhaul_domain::{EntryBody, Seq, TaskState, TerminalState, log::StatusChange};
use longhaul_store::{Append, Result, SettleAs, Settled, check_output};

/// A settle that waits for its batch.
#[derive(Debug)]
pub struct Ending {
    /// How the run ends.
    pub how: SettleAs,
    /// Up to which message the executor has read.
    pub read_up_to: Seq,
    /// What is still to be appended.
    pub output: Output,
}

/// What becomes of the run.
enum Fate {
    /// All entries are appended and the run is over.
    Over,
    /// All entries but the final status, then `canceled`.
    Canceled { keep_last: bool },
    /// All entries but the final status; offered again at once.
    HandedBack { once: bool },
    /// All entries; offered again.
    Again(fn(&mut LockedTask, &SettleAs)),
}

/// Decides a settle, and does it in memory where it is right.
pub fn settle(task: &mut LockedTask, ending: &Ending) -> Result<Settled> {
    let fence = ending.output.append.fence;
    let op = ending.output.append.op;
    if !may_write(task, fence) {
        return Ok(without_right(task, ending));
    }
    if task.has_done(fence.epoch, op) {
        return Ok(Settled::Already { last: task.last_seq });
    }
    check(task.state, ending)?;
    let fate = fate(task, ending);
    carry_out(task, ending, &fate);
    task.note_op(fence.epoch, op);
    task.settle_token = Some(fence.token);
    let last = task.last_seq;
    Ok(match fate {
        Fate::HandedBack { .. } => Settled::HandedBack { last },
        Fate::Over | Fate::Canceled { .. } | Fate::Again(_) => Settled::Now { last },
    })
}

/// The answer to somebody who may not write: was it this very settle that gave the run away?
fn without_right(task: &LockedTask, ending: &Ending) -> Settled {
    let Append { fence, op, .. } = ending.output.append;
    // A settle is the last operation of its run, whatever other runs have written since.
    let over = task.op_epoch != fence.epoch.0 || task.has_done(fence.epoch, op);
    if task.settle_token == Some(fence.token) && over {
        Settled::Already { last: task.last_seq }
    } else if task.state.is_terminal() {
        Settled::Ended(task.state)
    } else {
        Settled::Fenced
    }
}

/// Whether the entries are legal and lead where the settle says.
fn check(state: TaskState, ending: &Ending) -> Result<()> {
    let last = match &ending.how {
        SettleAs::End(end) => Some(end.state()),
        SettleAs::Park(parked) => Some(parked.state()),
        SettleAs::Retry(_) | SettleAs::Release => None,
    };
    check_output(state, &ending.output.append.entries, last)
}

fn fate(task: &LockedTask, ending: &Ending) -> Fate {
    let run = task.run.as_ref();
    let canceling = run.is_some_and(|run| run.cancel_at.is_some());
    let unread = task.message_seq > ending.read_up_to;
    let handed_back = run.is_some_and(|run| run.handed_back);
    match ending.how {
        SettleAs::End(end) => {
            let final_anyway = canceling || handed_back || end == TerminalState::Canceled;
            if unread && !final_anyway { Fate::HandedBack { once: true } } else { Fate::Over }
        }
        SettleAs::Park(_) if canceling => Fate::Canceled { keep_last: false },
        SettleAs::Park(_) if unread => Fate::HandedBack { once: false },
        SettleAs::Park(_) => Fate::Over,
        SettleAs::Retry(_) | SettleAs::Release if canceling => Fate::Canceled { keep_last: true },
        SettleAs::Retry(_) => Fate::Again(retry),
        SettleAs::Release => Fate::Again(|_, _| {}),
    }
}

fn retry(task: &mut LockedTask, how: &SettleAs) {
    let SettleAs::Retry(delay) = how else { return };
    let due = task.after(*delay);
    let later = due > task.now;
    if let Some(run) = &mut task.run {
        run.due = due;
        run.attempt += 1;
        if later {
            run.stage = Stage::Scheduled;
        }
    }
}

fn carry_out(task: &mut LockedTask, ending: &Ending, fate: &Fate) {
    let attempt = ending.output.append.attempt;
    let (last, others) = match ending.output.entries.split_last() {
        Some((last, others)) => (Some(last), others),
        None => (None, [].as_slice()),
    };
    for entry in others {
        task.place(entry.clone(), attempt);
    }
    let keep_last = match fate {
        Fate::Over | Fate::Again(_) => true,
        Fate::Canceled { keep_last } => *keep_last,
        Fate::HandedBack { .. } => false,
    };
    if let (true, Some(last)) = (keep_last, last) {
        task.place(last.clone(), attempt);
    }
    match fate {
        Fate::Over => task.drop_run(),
        Fate::Canceled { .. } => {
            cancel(task, attempt);
        }
        Fate::HandedBack { once } => {
            let now = task.now;
            if let Some(run) = &mut task.run {
                run.due = now;
                run.handed_back |= once;
            }
            offer(task);
        }
        Fate::Again(change) => {
            offer(task);
            change(task, &ending.how);
        }
    }
}

/// Offers the run again. A worker that could say so was not lost.
fn offer(task: &mut LockedTask) {
    if let Some(run) = &mut task.run {
        run.offer();
        run.losses = 0;
    }
}

/// Appends the final status of a task that has not ended, which may be canceled in every state, and takes its run off.
pub fn cancel(task: &mut LockedTask, attempt: i32) -> Seq {
    let canceled = EntryBody::Status(StatusChange::to(TaskState::Canceled));
    let seq = task.place(Encoded::from(&canceled), attempt);
    task.drop_run();
    seq
}
