//! What a worker believes, and what it has on the wire.

use super::{
    record::{Handed, Ticket},
    settle::How,
    wrong::{Memory, Wrong},
};
use crate::{Appended, Settled};

/// What the store knows of a worker's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lease {
    Valid,
    Over,
    /// The store has forgotten the worker.
    Gone,
}

/// A write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    Append,
    Checkpoint,
    Settle(How),
}

/// A write on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    pub ticket: Ticket,
    pub op: u8,
    pub what: What,
    pub read: u8,
    /// Whether it gives back a run that the worker does not know of.
    pub back: bool,
}

/// A run, as the worker that executes it sees it. Nothing tells it that it has lost the run, but an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold {
    pub ticket: Ticket,
    pub attempt: u8,
    pub read: u8,
    pub op: u8,
    /// Whether it has heard that it is to stop.
    pub cancel: bool,
    pub sent: Option<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Worker {
    pub lease: Lease,
    /// What the store has handed out, before the answer is there.
    pub claiming: Option<Handed>,
    pub hold: Option<Hold>,
    /// A run that is being given back.
    pub back: Option<Request>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Now,
    HandedBack,
    Already,
    Lost,
}

impl Worker {
    pub const NEW: Self = Self { lease: Lease::Valid, claiming: None, hold: None, back: None };

    /// Whether it knows of a run, or soon will.
    pub fn knows(&self, ticket: Ticket) -> bool {
        self.hold.is_some_and(|hold| hold.ticket == ticket)
    }

    /// Begins what was claimed.
    pub fn begin(&mut self) {
        self.hold = self.claiming.take().map(|handed| Hold {
            ticket: handed.ticket,
            attempt: handed.attempt,
            read: handed.read,
            op: 0,
            cancel: false,
            sent: None,
        });
    }

    /// Takes an answer to what its executor has sent.
    pub fn hear(&mut self, what: What, answer: Answer) {
        let Some(hold) = self.hold.as_mut() else { return };
        hold.sent = None;
        if answer == Answer::Lost || matches!(what, What::Settle(_)) {
            self.hold = None;
        }
    }
}

impl Request {
    /// A bit that no other write has. The one that gives back counts apart: it may have the number of another one.
    const fn bit(self) -> u128 {
        let op = if self.back { 7 } else { self.op };
        1 << (self.ticket.token * 8 + op)
    }

    /// Judges an answer: what was done was done once and by who held the run, and what is said is true.
    pub fn judge(self, memory: &mut Memory, held: bool, answer: Answer) {
        let before = memory.done & self.bit() != 0;
        match answer {
            Answer::Now | Answer::HandedBack => {
                memory.blame(!held, Wrong::StaleWrite);
                memory.blame(before, Wrong::DoneTwice);
                memory.done |= self.bit();
                self.remember(memory, answer);
            }
            Answer::Already => memory.blame(!before, Wrong::SaidDone),
            Answer::Lost => memory.blame(memory.settled == Some(self), Wrong::Forgotten),
        }
    }

    fn remember(self, memory: &mut Memory, answer: Answer) {
        if self.what != What::Append {
            memory.lost_in_a_row = 0;
        }
        let What::Settle(how) = self.what else { return };
        memory.settled = Some(self);
        if how == How::Park {
            memory.parked_read = self.read;
        } else if answer == Answer::HandedBack {
            memory.ends_handed_back += 1;
        }
    }
}

impl From<Appended> for Answer {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::Now { .. } => Self::Now,
            Appended::Already { .. } => Self::Already,
            Appended::Fenced | Appended::Ended(_) => Self::Lost,
        }
    }
}

impl From<Settled> for Answer {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Now { .. } => Self::Now,
            Settled::HandedBack { .. } => Self::HandedBack,
            Settled::Already { .. } => Self::Already,
            Settled::Fenced | Settled::Ended(_) => Self::Lost,
        }
    }
}
