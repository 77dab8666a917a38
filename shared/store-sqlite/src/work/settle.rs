//! The end of a run, decided from the committed state.

use super::output::{FenceCheck, check_fence, write};
use crate::{
    error::DbResult, head::TaskHead, intake::cancel::canceled_status, queue::Run, row, writer::Tx,
};
use longhaul_domain::TerminalState;
use longhaul_store::{Settle, SettleAs, Settled, check_output};

/// Decision about a settled run.
enum SettleDecision {
    /// The run is over; all entries count.
    Over(Run),
    /// The run is over because a cancel was requested; its final status, if there is one, is
    /// replaced.
    Canceled { run: Run, without_last: bool },
    /// The run is offered again; all entries count.
    OfferAgain(Run),
    /// A message is unread: the run is offered again, without its final status.
    HandedBack(Run),
}

pub fn settle(tx: &mut Tx<'_>, settle: &Settle) -> DbResult<Settled> {
    let output = &settle.output;
    let (mut head, run) = match check_fence(tx, output, true)? {
        FenceCheck::Held(held) => *held,
        FenceCheck::Done(last) => return Ok(Settled::Already { last }),
        FenceCheck::Fenced => return Ok(Settled::Fenced),
        FenceCheck::Ended(state) => return Ok(Settled::Ended(state)),
    };
    let last = match settle.how {
        SettleAs::End(state) => Some(state.state()),
        SettleAs::Park(state) => Some(state.state()),
        SettleAs::Retry(_) | SettleAs::Release => None,
    };
    check_output(head.state, &output.entries, last)?;
    let (all, before) = (&output.entries[..], head.baseline());
    let but_last = all.split_last().map_or(all, |(_, rest)| rest);
    // The token outlives the row of the run, so that a repeated settle is recognised.
    head.settle_token = Some(output.fence.token);
    head.epoch = run.epoch;
    let decision = decide(tx.now, settle, &head, run);
    let handed_back = matches!(decision, SettleDecision::HandedBack(_));
    match decision {
        SettleDecision::Over(run) => {
            write(tx, &mut head, output, all)?;
            run.remove(tx)?;
            head.version = run.version;
        }
        SettleDecision::Canceled { run, without_last } => {
            write(tx, &mut head, output, if without_last { but_last } else { all })?;
            head.append(tx, output.attempt, &canceled_status())?;
            run.remove(tx)?;
        }
        SettleDecision::OfferAgain(run) => {
            write(tx, &mut head, output, all)?;
            run.offer_again(tx)?;
        }
        SettleDecision::HandedBack(run) => {
            write(tx, &mut head, output, but_last)?;
            run.offer_again(tx)?;
        }
    }
    head.save(tx, before)?;
    let last = head.last_seq;
    Ok(if handed_back { Settled::HandedBack { last } } else { Settled::Now { last } })
}

fn decide(now: i64, settle: &Settle, head: &TaskHead, run: Run) -> SettleDecision {
    let canceling = run.cancel_at.is_some();
    let unread = head.message_seq > settle.read_up_to;
    // A worker that settles its run was not lost with it.
    let run = Run { losses: 0, ..run };
    match settle.how {
        // The first to end the task wins, even over an earlier cancel request; but a canceled run
        // is not repeated.
        SettleAs::End(state) => {
            let once = !run.handed_back && !canceling && state != TerminalState::Canceled;
            if unread && once {
                SettleDecision::HandedBack(Run { due_at: now, handed_back: true, ..run })
            } else {
                SettleDecision::Over(run)
            }
        }
        SettleAs::Park(_) if canceling => SettleDecision::Canceled { run, without_last: true },
        SettleAs::Park(_) if unread => SettleDecision::HandedBack(Run { due_at: now, ..run }),
        SettleAs::Park(_) => SettleDecision::Over(run),
        SettleAs::Retry(_) | SettleAs::Release if canceling => {
            SettleDecision::Canceled { run, without_last: false }
        }
        SettleAs::Retry(delay) => {
            let due_at = now.saturating_add(row::millis(delay));
            SettleDecision::OfferAgain(Run {
                due_at,
                attempt: run.attempt.saturating_add(1),
                ..run
            })
        }
        // A clock that was set back between two processes must not delay a run that could be
        // claimed.
        SettleAs::Release => SettleDecision::OfferAgain(Run { due_at: run.due_at.min(now), ..run }),
    }
}
