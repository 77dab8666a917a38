//! The end of a run, in the model.

use super::{
    broken::Broken,
    record::{Cancel, Desk, Due, Entry, Guard, Record, Run, Ticket},
};
use crate::Settled;
use longhaul_domain::{TaskState, TerminalState};

/// What every write brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    pub ticket: Ticket,
    pub op: u8,
    /// Whether it brings a checkpoint. An append brings that or a `working` status.
    pub checkpoint: bool,
}

/// How a run ends. What ends or parks brings a `working` status before the last one, and so does a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum How {
    End(TerminalState),
    Park,
    Retry { later: bool },
    Release,
}

/// What becomes of a settled run.
enum Fate {
    Over,
    Canceled,
    Again(Run),
    HandedBack(Run),
}

impl Record {
    pub fn settle(&mut self, desk: &mut Desk, write: Write, how: How, read: u8) -> Settled {
        let run = match self.guard(desk, write, true) {
            Guard::Held(run) => run,
            Guard::Done => return Settled::Already { last: self.seq() },
            Guard::Fenced => return Settled::Fenced,
            Guard::Ended(state) => return Settled::Ended(state),
        };
        self.note(write);
        self.settle_token = write.ticket.token;
        self.epoch = run.epoch;
        if how != How::Release {
            self.write(desk, Entry::Status(TaskState::Working));
        }
        let fate = self.fate(desk, how, read, run);
        let handed_back = matches!(fate, Fate::HandedBack(_));
        match (fate, how) {
            (Fate::Over, How::End(state)) => self.end(desk, state.state()),
            (Fate::Over, _) => self.end(desk, TaskState::InputRequired),
            (Fate::Canceled, _) => self.end(desk, TaskState::Canceled),
            (Fate::Again(run) | Fate::HandedBack(run), _) => {
                self.run = Some(Run { losses: 0, ..run.offered() });
            }
        }
        let last = self.seq();
        if handed_back { Settled::HandedBack { last } } else { Settled::Now { last } }
    }

    fn fate(&self, desk: &Desk, how: How, read: u8, run: Run) -> Fate {
        let canceling = |rule| run.cancel != Cancel::No && !desk.breaks(rule);
        let unread = self.message_seq > read;
        match how {
            // Whoever ends first wins, also over a cancel; but what was to end is not run again.
            How::End(state) => {
                let may = !run.handed_back || desk.breaks(Broken::HandedBackOnce);
                let may = may && run.cancel == Cancel::No && state != TerminalState::Canceled;
                if unread && may {
                    Fate::HandedBack(Run { handed_back: true, ..run })
                } else {
                    Fate::Over
                }
            }
            How::Park if canceling(Broken::CancelAtPark) => Fate::Canceled,
            How::Park if unread && !desk.breaks(Broken::UnreadAtPark) => Fate::HandedBack(run),
            How::Park => Fate::Over,
            How::Retry { .. } if canceling(Broken::CancelAtRetry) => Fate::Canceled,
            How::Release if canceling(Broken::CancelAtRelease) => Fate::Canceled,
            How::Retry { later } => {
                let due = if later { Due::Later } else { Due::Now };
                Fate::Again(Run { due, attempt: run.attempt + 1, ..run })
            }
            How::Release => Fate::Again(run),
        }
    }
}
