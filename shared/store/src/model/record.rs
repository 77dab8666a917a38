//! What a store keeps of one task, and what claims, clients and reapers do with it.

use super::{broken::Broken, settle::Write};
use crate::{Appended, CancelRequested, FollowedUp};
use longhaul_domain::{Seq, TaskState};

/// The right to write: epoch and token of a claim. Tokens count from 1; no two claims share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    pub epoch: u8,
    pub token: u8,
}

/// An entry of the log, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Message,
    Status(TaskState),
    WorkerLost,
    CancelRequested,
}

/// Where the log is written, and which rule does not hold.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub log: Vec<Entry>,
    pub broken: Option<Broken>,
}

impl Desk {
    pub(super) fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}

/// Whether a run was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cancel {
    No,
    Asked,
    /// The grace is over.
    Overdue,
}

/// When a run may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Due {
    Now,
    Later,
    /// Its time has come, and no reaper has seen it yet.
    Unseen,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub epoch: u8,
    pub attempt: u8,
    pub losses: u8,
    pub handed_back: bool,
    pub cancel: Cancel,
    pub due: Due,
    /// Which worker has it, and the token of its claim.
    pub holder: Option<(u8, u8)>,
    /// Whether it waits for its first start of this turn, and so may wait for too long.
    pub unstarted: bool,
}

/// What is known of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub state: TaskState,
    pub last: u8,
    pub message_seq: u8,
    pub turn: u8,
    /// Of the run that was settled last.
    pub epoch: u8,
    pub op_epoch: u8,
    pub last_op: u8,
    /// Token of the claim that was settled last; 0: there is none.
    pub settle_token: u8,
    /// How many tokens were given.
    pub tokens: u8,
    pub run: Option<Run>,
    /// How many final statuses the log has.
    pub ends: u8,
}

/// What a claim hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Handed {
    pub ticket: Ticket,
    pub attempt: u8,
    pub turn: u8,
    pub losses: u8,
    pub state: TaskState,
    pub last: u8,
    /// The last message in the history.
    pub read: u8,
}

/// What becomes of a run whose worker is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Offered,
    Canceled,
    Poison,
}

impl Record {
    /// A task as it was accepted.
    pub fn accepted(desk: &mut Desk) -> Self {
        let mut record = Self {
            state: TaskState::Submitted,
            last: 0,
            message_seq: 1,
            turn: 1,
            epoch: 0,
            op_epoch: 0,
            last_op: 0,
            settle_token: 0,
            tokens: 0,
            run: Some(Run::new(0)),
            ends: 0,
        };
        record.write(desk, Entry::Message);
        record
    }

    /// The last entry.
    pub fn seq(&self) -> Seq {
        Seq(self.last.into())
    }

    pub(super) fn write(&mut self, desk: &mut Desk, entry: Entry) {
        if let Entry::Status(state) = entry {
            // What a rule that is broken brings about may be illegal; then the state machine is what stops it.
            let Ok(next) = self.state.after(state.transition_to()) else { return };
            self.state = next;
            self.ends += u8::from(next.is_terminal());
        }
        self.last += 1;
        desk.log.push(entry);
    }

    /// Ends the task in the name of nobody.
    pub(super) fn end(&mut self, desk: &mut Desk, state: TaskState) {
        self.write(desk, Entry::Status(state));
        self.run = None;
    }

    pub fn follow_up(&mut self, desk: &mut Desk) -> FollowedUp {
        if self.state.is_terminal() && !desk.breaks(Broken::EndIsFinal) {
            return FollowedUp::Ended(self.state);
        }
        let woken = self.state.is_parked();
        self.write(desk, Entry::Message);
        self.message_seq = self.last;
        let seq = self.seq();
        if woken {
            self.write(desk, Entry::Status(TaskState::Submitted));
            self.turn += 1;
            self.epoch += 1;
            let offers = !desk.breaks(Broken::WakeOffers);
            self.run = offers.then(|| Run::new(self.epoch));
        }
        FollowedUp::Appended { seq, last: self.seq(), woken }
    }

    pub fn cancel(&mut self, desk: &mut Desk) -> CancelRequested {
        if self.state.is_terminal() {
            return CancelRequested::Ended(self.state);
        }
        match self.run {
            Some(run) if run.holder.is_some() => {
                if run.cancel == Cancel::No {
                    self.write(desk, Entry::CancelRequested);
                    self.run = Some(Run { cancel: Cancel::Asked, ..run });
                }
                CancelRequested::Asked { seq: self.seq() }
            }
            _ => {
                self.end(desk, TaskState::Canceled);
                CancelRequested::Canceled { seq: self.seq() }
            }
        }
    }

    /// Hands the run to a worker with a lease, if it can be handed out.
    pub fn claim(&mut self, desk: &Desk, worker: u8) -> Option<Handed> {
        let held = |run: &Run| run.holder.is_some() && !desk.breaks(Broken::OneHolder);
        let mut run = self.run.filter(|run| !held(run) && run.due == Due::Now)?;
        if run.cancel == Cancel::Overdue {
            return None;
        }
        if desk.breaks(Broken::FreshFence) && self.tokens > 0 {
            run.epoch = self.turn;
        } else {
            self.tokens += 1;
            run.epoch += 1;
        }
        run.holder = Some((worker, self.tokens));
        run.unstarted = false;
        self.run = Some(run);
        Some(Handed {
            ticket: Ticket { epoch: run.epoch, token: self.tokens },
            attempt: run.attempt,
            turn: self.turn,
            losses: run.losses,
            state: self.state,
            last: self.last,
            read: self.message_seq,
        })
    }

    pub fn append(&mut self, desk: &mut Desk, write: Write) -> Appended {
        let mut run = match self.guard(desk, write, false) {
            Guard::Held(run) => run,
            Guard::Done => return Appended::Already { last: self.seq() },
            Guard::Fenced => return Appended::Fenced,
            Guard::Ended(state) => return Appended::Ended(state),
        };
        self.note(write);
        if write.checkpoint {
            run.losses = 0;
        }
        self.run = Some(run);
        if !write.checkpoint {
            self.write(desk, Entry::Status(TaskState::Working));
        }
        Appended::Now { last: self.seq() }
    }

    /// Remembers an operation, so that it is known when it comes again.
    pub(super) fn note(&mut self, write: Write) {
        (self.op_epoch, self.last_op) = (write.ticket.epoch, write.op);
    }

    /// Whether a write may be done, was done, or comes from somebody who has lost the run.
    pub(super) fn guard(&self, desk: &Desk, write: Write, settles: bool) -> Guard {
        let ticket = write.ticket;
        let same_run = self.op_epoch == ticket.epoch;
        if let Some(run) = self.run
            && let Some((_, token)) = run.holder
            && (token == ticket.token || desk.breaks(Broken::Token) || desk.breaks(Broken::Fence))
            && (run.epoch == ticket.epoch
                || desk.breaks(Broken::Epoch)
                || desk.breaks(Broken::Fence))
        {
            let done = same_run && write.op <= self.last_op;
            let done = done && !desk.breaks(Broken::OperationNumber);
            return if done { Guard::Done } else { Guard::Held(run) };
        }
        let known = self.settle_token == ticket.token && !desk.breaks(Broken::SettleToken);
        let known = known || desk.breaks(Broken::SettleOfThisRun);
        if settles && known && (!same_run || write.op <= self.last_op) {
            return Guard::Done;
        }
        if self.state.is_terminal() { Guard::Ended(self.state) } else { Guard::Fenced }
    }

    /// The worker is lost: what becomes of the run that it held.
    pub fn lose(&mut self, desk: &mut Desk, worker: u8, max_losses: u8) -> Option<Loss> {
        let run = self.held_by(worker)?;
        if run.cancel != Cancel::No && !desk.breaks(Broken::CancelAtLoss) {
            self.end(desk, TaskState::Canceled);
            return Some(Loss::Canceled);
        }
        let losses = if desk.breaks(Broken::LossesCount) { 0 } else { run.losses + 1 };
        if losses >= max_losses {
            self.end(desk, TaskState::Failed);
            return Some(Loss::Poison);
        }
        self.write(desk, Entry::WorkerLost);
        let offered = Run { losses, due: Due::Now, ..run.offered() };
        self.run = Some(if desk.breaks(Broken::LossOffers) { run } else { offered });
        Some(Loss::Offered)
    }

    /// The worker goes in good order.
    pub fn retire(&mut self, desk: &mut Desk, worker: u8) -> Option<Loss> {
        let run = self.held_by(worker)?;
        if run.cancel != Cancel::No {
            self.end(desk, TaskState::Canceled);
            return Some(Loss::Canceled);
        }
        self.run = Some(run.offered());
        Some(Loss::Offered)
    }

    /// The run, if this worker holds it.
    pub fn held_by(&self, worker: u8) -> Option<Run> {
        self.run.filter(|run| run.holder.is_some_and(|(holder, _)| holder == worker))
    }

    /// Whether a worker holds the run.
    pub fn is_claimed(&self) -> bool {
        self.run.is_some_and(|run| run.holder.is_some())
    }

    /// Makes runnable what has become due.
    pub fn promote(&mut self) {
        if let Some(run) = &mut self.run
            && run.due == Due::Unseen
        {
            run.due = Due::Now;
        }
    }

    /// Cancels by force what did not stop in time.
    pub fn force(&mut self, desk: &mut Desk) -> bool {
        let overdue = self.run.filter(|run| run.cancel == Cancel::Overdue);
        if overdue.is_some() {
            self.end(desk, TaskState::Canceled);
            if desk.breaks(Broken::ForceTakesOff) {
                self.run = overdue;
            }
        }
        overdue.is_some()
    }
}

impl Run {
    /// A run as a turn begins it.
    pub const fn new(epoch: u8) -> Self {
        Self {
            epoch,
            attempt: 1,
            losses: 0,
            handed_back: false,
            cancel: Cancel::No,
            due: Due::Now,
            holder: None,
            unstarted: true,
        }
    }

    /// The run without its worker.
    pub const fn offered(self) -> Self {
        Self { holder: None, epoch: self.epoch + 1, ..self }
    }
}

/// What a fence opens.
pub(super) enum Guard {
    Held(Run),
    Done,
    Fenced,
    Ended(TaskState),
}
