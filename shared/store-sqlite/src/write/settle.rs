//! The end of a run, decided from what is committed at that moment.

use super::{
    append::write,
    cancel::canceled,
    guard::{self, Guard},
};
use crate::{error::Result, head::Head, queue::Run, row, writer::Tx};
use longhaul_domain::TerminalState;
use longhaul_store::{Settle, SettleAs, Settled, check_output};

/// What becomes of the run.
enum Fate {
    /// It is over; all entries count.
    Over(Run),
    /// It is over because it was to be canceled; the final status, if there is one, gives way.
    Canceled { run: Run, without_last: bool },
    /// It is offered again, all entries count.
    Again(Run),
    /// The client has said something unread: it is offered again, without the final status.
    HandedBack(Run),
}

pub fn settle(tx: &mut Tx<'_>, settle: &Settle) -> Result<Settled> {
    let output = &settle.output;
    let (mut head, run) = match guard::check(tx, output, true)? {
        Guard::Held(held) => *held,
        Guard::Done(last) => return Ok(Settled::Already { last }),
        Guard::Fenced => return Ok(Settled::Fenced),
        Guard::Ended(state) => return Ok(Settled::Ended(state)),
    };
    let last = match settle.how {
        SettleAs::End(state) => Some(state.state()),
        SettleAs::Park(state) => Some(state.state()),
        SettleAs::Retry(_) | SettleAs::Release => None,
    };
    check_output(head.state, &output.entries, last)?;
    let (all, before) = (&output.entries[..], head.before());
    let but_last = all.split_last().map_or(all, |(_, rest)| rest);
    head.settle_token = Some(output.fence.token);
    head.epoch = run.epoch;
    let fate = decide(tx.now, settle, &head, run);
    let handed_back = matches!(fate, Fate::HandedBack(_));
    match fate {
        Fate::Over(run) => {
            write(tx, &mut head, output, all)?;
            run.remove(tx)?;
            head.version = run.version;
        }
        Fate::Canceled { run, without_last } => {
            write(tx, &mut head, output, if without_last { but_last } else { all })?;
            head.append(tx, output.attempt, &canceled())?;
            run.remove(tx)?;
        }
        Fate::Again(run) => {
            write(tx, &mut head, output, all)?;
            run.offer_again(tx)?;
        }
        Fate::HandedBack(run) => {
            write(tx, &mut head, output, but_last)?;
            run.offer_again(tx)?;
        }
    }
    head.save(tx, before)?;
    let last = head.last_seq;
    Ok(if handed_back { Settled::HandedBack { last } } else { Settled::Now { last } })
}

fn decide(now: i64, settle: &Settle, head: &Head, run: Run) -> Fate {
    let canceling = run.cancel_at.is_some();
    let unread = head.message_seq > settle.read_up_to;
    // A worker that says how its run ended was not lost with it.
    let run = Run { losses: 0, ..run };
    match settle.how {
        // Whoever ends first wins, also over a cancel that came before; but what was to end is not run again.
        SettleAs::End(state) => {
            let once = !run.handed_back && !canceling && state != TerminalState::Canceled;
            if unread && once {
                Fate::HandedBack(Run { due_at: now, handed_back: true, ..run })
            } else {
                Fate::Over(run)
            }
        }
        SettleAs::Park(_) if canceling => Fate::Canceled { run, without_last: true },
        SettleAs::Park(_) if unread => Fate::HandedBack(Run { due_at: now, ..run }),
        SettleAs::Park(_) => Fate::Over(run),
        SettleAs::Retry(_) | SettleAs::Release if canceling => {
            Fate::Canceled { run, without_last: false }
        }
        SettleAs::Retry(delay) => {
            let due_at = now.saturating_add(row::millis(delay));
            Fate::Again(Run { due_at, attempt: run.attempt.saturating_add(1), ..run })
        }
        // A clock that was set back between two processes does not delay what could be claimed.
        SettleAs::Release => Fate::Again(Run { due_at: run.due_at.min(now), ..run }),
    }
}
