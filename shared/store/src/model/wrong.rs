//! What must never be, in any state.

use super::{
    record::{Cancel, Ticket},
    worker::{Lease, Request},
    world::World,
};
use longhaul_domain::TaskState;

/// What is wrong with a state, or with the step that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// A task has two final statuses, or a final state without one.
    EndedNotOnce,
    /// Something was written after the end.
    WrittenAfterTheEnd,
    /// A task that has ended or is parked stands in the queue.
    NothingToRun,
    /// A task that has not ended and is not parked stands in no queue, or is held by a worker that nobody will reap.
    Stuck,
    /// A write was accepted from somebody who does not hold the run.
    StaleWrite,
    /// Two executors hold the same right to write.
    TwoHolders,
    /// A run was handed out while somebody held it.
    Stolen,
    /// A fence is not above the ones before it.
    OldFence,
    /// A write was done twice.
    DoneTwice,
    /// A write was said to be done, and was not.
    SaidDone,
    /// A settle was done, and when it came again, nobody knew.
    Forgotten,
    /// A task that is to be canceled parked, or was run again.
    CancelIgnored,
    /// A task is parked, and there is a message that nobody has read.
    ParkedUnread,
    /// An end was handed back twice in a turn.
    HandedBackTwice,
    /// A task has cost more workers in a row than it may.
    NotQuarantined,
}

/// What is wrong with a state.
pub fn wrong(world: &World) -> Option<Wrong> {
    let (record, memory) = (&world.record, &world.memory);
    let (terminal, parked) = (record.state.is_terminal(), record.state.is_parked());
    let holders = world
        .workers
        .iter()
        .filter(|worker| worker.hold.is_some_and(|hold| Some(hold.ticket) == current(world)));
    let reaped = record
        .run
        .and_then(|run| run.holder)
        .is_some_and(|(worker, _)| world.workers[usize::from(worker)].lease == Lease::Gone);
    let still_asked = || Some(memory.asked) == current(world).map(Some);
    let checks = [
        (memory.wrong.is_some(), memory.wrong.unwrap_or(Wrong::Stuck)),
        (record.ends != u8::from(terminal), Wrong::EndedNotOnce),
        ((terminal || parked) && record.run.is_some(), Wrong::NothingToRun),
        (!terminal && !parked && record.run.is_none() || reaped, Wrong::Stuck),
        (holders.count() > 1, Wrong::TwoHolders),
        (memory.asked.is_some() && !terminal && !still_asked(), Wrong::CancelIgnored),
        (parked && record.message_seq > memory.parked_read, Wrong::ParkedUnread),
        (memory.ends_handed_back > 1, Wrong::HandedBackTwice),
        (!terminal && memory.lost_in_a_row >= world.left.max_losses, Wrong::NotQuarantined),
    ];
    checks.into_iter().find(|(holds, _)| *holds).map(|(_, wrong)| wrong)
}

/// The right to write that the run gives at the moment.
pub fn current(world: &World) -> Option<Ticket> {
    let run = world.record.run?;
    run.holder.map(|(_, token)| Ticket { epoch: run.epoch, token })
}

/// What was done and said so far, as far as later states are judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Every write that was done: a bit of each.
    pub done: u128,
    /// The settle that was done last.
    pub settled: Option<Request>,
    /// Who held the run when it was asked to stop.
    pub asked: Option<Ticket>,
    /// The last message that was read by the executor that parked.
    pub parked_read: u8,
    /// How often an end was handed back in this turn.
    pub ends_handed_back: u8,
    pub lost_in_a_row: u8,
    /// Epoch of the last claim.
    pub epoch: u8,
    pub wrong: Option<Wrong>,
}

impl Memory {
    pub const NONE: Self = Self {
        done: 0,
        settled: None,
        asked: None,
        parked_read: 0,
        ends_handed_back: 0,
        lost_in_a_row: 0,
        epoch: 0,
        wrong: None,
    };

    pub const fn blame(&mut self, holds: bool, wrong: Wrong) {
        if holds && self.wrong.is_none() {
            self.wrong = Some(wrong);
        }
    }
}

impl World {
    /// Judges what one step did.
    pub fn judge(&mut self, before: &Self) {
        let (was, is) = (before.record, self.record);
        let after_the_end = was.state.is_terminal() && (is.last, is.state) != (was.last, was.state);
        self.memory.blame(after_the_end, Wrong::WrittenAfterTheEnd);
        let asked = |world: &Self| world.record.run.is_some_and(|run| run.cancel != Cancel::No);
        if !asked(before) && asked(self) {
            self.memory.asked = current(self);
        }
        if is.turn != was.turn {
            self.memory.ends_handed_back = 0;
            self.memory.lost_in_a_row = 0;
        }
        if is.state != TaskState::InputRequired {
            self.memory.parked_read = 0;
        }
    }
}
