//! Violations of invariants, and the history of writes by which they are judged.

use super::{
    settle::SettleKind,
    task::ModelFence,
    worker::{WriteInFlight, WriteKind, WriteReply},
};

/// A violated invariant, of a state or of the step that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvariantViolation {
    /// A task has two final statuses, or a final state without one.
    NotOneFinalStatus,
    /// An entry was written after the end.
    WrittenAfterTheEnd,
    /// A task that has ended or is parked is in the queue.
    QueuedWithoutWork,
    /// An active task is missing from the queue, or is held by a worker that no reaper will find.
    Stuck,
    /// A write was accepted from a worker that does not hold the run.
    StaleWrite,
    /// Two executors hold the same right to write.
    TwoHolders,
    /// A run was claimed while another worker held it.
    ClaimedWhileHeld,
    /// A fence is not above the earlier ones.
    FenceNotFresh,
    /// A write was done twice.
    WrittenTwice,
    /// A write was reported as done, but was not.
    FalselyReportedDone,
    /// A settle was done, but its repetition was not recognised.
    SettleNotRecognised,
    /// A task with a cancel request parked, or was run again.
    CancelIgnored,
    /// A task is parked although a message is unread.
    ParkedUnread,
    /// An end was handed back twice in a turn.
    HandedBackTwice,
    /// A task has cost more workers in a row than allowed.
    NotQuarantined,
}

/// History of writes and answers, as far as later states are judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteHistory {
    /// All writes that were done, a bit for each.
    pub done: u128,
    /// The settle that was done last.
    pub settled: Option<WriteInFlight>,
    /// Holder of the run when it was asked to stop.
    pub asked: Option<ModelFence>,
    /// The last message read by the executor that parked.
    pub parked_read: u8,
    /// Number of times that an end was handed back in this turn.
    pub ends_handed_back: u8,
    pub lost_in_a_row: u8,
    /// Epoch of the last claim.
    pub epoch: u8,
    pub violation: Option<InvariantViolation>,
}

impl WriteHistory {
    pub const NONE: Self = Self {
        done: 0,
        settled: None,
        asked: None,
        parked_read: 0,
        ends_handed_back: 0,
        lost_in_a_row: 0,
        epoch: 0,
        violation: None,
    };

    pub const fn report(&mut self, holds: bool, violation: InvariantViolation) {
        if holds && self.violation.is_none() {
            self.violation = Some(violation);
        }
    }
}

impl WriteInFlight {
    /// Returns a bit of its own for each write. A release of an unknown run counts apart, because
    /// it may share its number with another write.
    const fn bit(self) -> u128 {
        let op = if self.release { 7 } else { self.op };
        1 << (self.fence.token * 8 + op)
    }

    /// Judges an answer: a write may be done only once and only by the holder of the run, and the
    /// answer must be true.
    pub fn judge(self, history: &mut WriteHistory, held: bool, answer: WriteReply) {
        let before = history.done & self.bit() != 0;
        match answer {
            WriteReply::Now | WriteReply::HandedBack => {
                history.report(!held, InvariantViolation::StaleWrite);
                history.report(before, InvariantViolation::WrittenTwice);
                history.done |= self.bit();
                self.remember(history, answer);
            }
            WriteReply::Already => history.report(!before, InvariantViolation::FalselyReportedDone),
            WriteReply::Lost => {
                history
                    .report(history.settled == Some(self), InvariantViolation::SettleNotRecognised);
            }
        }
    }

    fn remember(self, history: &mut WriteHistory, answer: WriteReply) {
        if self.what != WriteKind::Append {
            history.lost_in_a_row = 0;
        }
        let WriteKind::Settle(how) = self.what else { return };
        history.settled = Some(self);
        if how == SettleKind::Park {
            history.parked_read = self.read;
        } else if answer == WriteReply::HandedBack {
            history.ends_handed_back += 1;
        }
    }
}
