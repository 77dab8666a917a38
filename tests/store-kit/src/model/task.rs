//! The stored state of one task, and the operations of claims, clients and reapers on it.

use super::disabled::DisabledRule;
use longhaul_domain::{Seq, TaskState};
use longhaul_store::{Appended, CancelRequested, FollowedUp};

/// The right to write: epoch and token of a claim. Tokens count from 1, and no two claims share
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModelFence {
    pub epoch: u8,
    pub token: u8,
}

/// A write of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModelWrite {
    pub fence: ModelFence,
    pub op: u8,
    /// Set for a checkpoint; an append brings either a checkpoint or a `working` status.
    pub checkpoint: bool,
}

/// An entry of the log, reduced to what matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelEntry {
    Message,
    Status(TaskState),
    WorkerLost,
    CancelRequested,
}

/// The log, and the rule that is disabled.
#[derive(Debug, Default)]
pub(crate) struct ModelLog {
    pub entries: Vec<ModelEntry>,
    pub disabled: Option<DisabledRule>,
}

impl ModelLog {
    pub(super) fn disables(&self, rule: DisabledRule) -> bool {
        self.disabled == Some(rule)
    }
}

/// State of a cancel request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CancelState {
    No,
    Asked,
    /// The grace is over.
    Overdue,
}

/// Due state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DueState {
    Now,
    Later,
    /// The due time has come, and no reaper has seen it yet.
    Unseen,
}

/// A row of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModelRun {
    pub epoch: u8,
    pub attempt: u8,
    pub losses: u8,
    pub handed_back: bool,
    pub cancel: CancelState,
    pub due: DueState,
    /// The worker that holds the run, and the token of its claim.
    pub holder: Option<(u8, u8)>,
    /// Set until the run is first claimed in this turn; only then does the queue timeout apply.
    pub unstarted: bool,
}

/// The stored state of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TaskModel {
    pub state: TaskState,
    pub last: u8,
    pub message_seq: u8,
    pub turn: u8,
    /// Epoch of the run that was settled last.
    pub epoch: u8,
    pub op_epoch: u8,
    pub last_op: u8,
    /// Token of the claim that was settled last; 0: none.
    pub settle_token: u8,
    /// Number of tokens given so far.
    pub tokens: u8,
    pub run: Option<ModelRun>,
    /// Number of final statuses in the log.
    pub ends: u8,
}

/// A claimed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModelClaim {
    pub fence: ModelFence,
    pub attempt: u8,
    pub turn: u8,
    pub losses: u8,
    pub state: TaskState,
    pub last: u8,
    /// The last message in the history.
    pub read: u8,
}

/// Outcome for a run whose worker is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossOutcome {
    Offered,
    Canceled,
    Poison,
}

impl TaskModel {
    /// Creates a task as it is accepted.
    pub fn accepted(log: &mut ModelLog) -> Self {
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
            run: Some(ModelRun::new(0)),
            ends: 0,
        };
        record.write(log, ModelEntry::Message);
        record
    }

    /// Returns the last entry.
    pub fn seq(&self) -> Seq {
        Seq(self.last.into())
    }

    pub(super) fn write(&mut self, log: &mut ModelLog, entry: ModelEntry) {
        if let ModelEntry::Status(state) = entry {
            // A disabled rule may lead to an illegal transition; then the state machine stops it.
            let Ok(next) = self.state.after(state.transition_to()) else { return };
            self.state = next;
            self.ends += u8::from(next.is_terminal());
        }
        self.last += 1;
        log.entries.push(entry);
    }

    /// Ends the task without an executor.
    pub(super) fn end(&mut self, log: &mut ModelLog, state: TaskState) {
        self.write(log, ModelEntry::Status(state));
        self.run = None;
    }

    pub fn follow_up(&mut self, log: &mut ModelLog) -> FollowedUp {
        if self.state.is_terminal() && !log.disables(DisabledRule::EndIsFinal) {
            return FollowedUp::Ended(self.state);
        }
        let woken = self.state.is_parked();
        self.write(log, ModelEntry::Message);
        self.message_seq = self.last;
        let seq = self.seq();
        if woken {
            self.write(log, ModelEntry::Status(TaskState::Submitted));
            self.turn += 1;
            self.epoch += 1;
            let offers = !log.disables(DisabledRule::WakeOffers);
            self.run = offers.then(|| ModelRun::new(self.epoch));
        }
        FollowedUp::Appended { seq, last: self.seq(), woken }
    }

    pub fn cancel(&mut self, log: &mut ModelLog) -> CancelRequested {
        if self.state.is_terminal() {
            return CancelRequested::Ended(self.state);
        }
        match self.run {
            Some(run) if run.holder.is_some() => {
                if run.cancel == CancelState::No {
                    self.write(log, ModelEntry::CancelRequested);
                    self.run = Some(ModelRun { cancel: CancelState::Asked, ..run });
                }
                CancelRequested::Asked { seq: self.seq() }
            }
            _ => {
                self.end(log, TaskState::Canceled);
                CancelRequested::Canceled { seq: self.seq() }
            }
        }
    }

    /// Hands the run to a worker with a lease, if it can be claimed.
    pub fn claim(&mut self, log: &ModelLog, worker: u8) -> Option<ModelClaim> {
        let held = |run: &ModelRun| run.holder.is_some() && !log.disables(DisabledRule::OneHolder);
        let mut run = self.run.filter(|run| !held(run) && run.due == DueState::Now)?;
        if run.cancel == CancelState::Overdue {
            return None;
        }
        if log.disables(DisabledRule::FreshFence) && self.tokens > 0 {
            run.epoch = self.turn;
        } else {
            self.tokens += 1;
            run.epoch += 1;
        }
        run.holder = Some((worker, self.tokens));
        run.unstarted = false;
        self.run = Some(run);
        Some(ModelClaim {
            fence: ModelFence { epoch: run.epoch, token: self.tokens },
            attempt: run.attempt,
            turn: self.turn,
            losses: run.losses,
            state: self.state,
            last: self.last,
            read: self.message_seq,
        })
    }

    pub fn append(&mut self, log: &mut ModelLog, write: ModelWrite) -> Appended {
        let mut run = match self.guard(log, write, false) {
            FenceCheck::Held(run) => run,
            FenceCheck::Done => return Appended::Already { last: self.seq() },
            FenceCheck::Fenced => return Appended::Fenced,
            FenceCheck::Ended(state) => return Appended::Ended(state),
        };
        self.note(write);
        if write.checkpoint {
            run.losses = 0;
        }
        self.run = Some(run);
        if !write.checkpoint {
            self.write(log, ModelEntry::Status(TaskState::Working));
        }
        Appended::Now { last: self.seq() }
    }

    /// Records an operation, so that its repetition is recognised.
    pub(super) fn note(&mut self, write: ModelWrite) {
        (self.op_epoch, self.last_op) = (write.fence.epoch, write.op);
    }

    /// Checks the fence of a write, and whether the write was done before.
    pub(super) fn guard(&self, log: &ModelLog, write: ModelWrite, settles: bool) -> FenceCheck {
        let fence = write.fence;
        let same_run = self.op_epoch == fence.epoch;
        if let Some(run) = self.run
            && let Some((_, token)) = run.holder
            && (token == fence.token
                || log.disables(DisabledRule::Token)
                || log.disables(DisabledRule::Fence))
            && (run.epoch == fence.epoch
                || log.disables(DisabledRule::Epoch)
                || log.disables(DisabledRule::Fence))
        {
            let done = same_run && write.op <= self.last_op;
            let done = done && !log.disables(DisabledRule::OperationNumber);
            return if done { FenceCheck::Done } else { FenceCheck::Held(run) };
        }
        let known = self.settle_token == fence.token && !log.disables(DisabledRule::SettleToken);
        let known = known || log.disables(DisabledRule::SettleNumberPerRun);
        if settles && known && (!same_run || write.op <= self.last_op) {
            return FenceCheck::Done;
        }
        if self.state.is_terminal() { FenceCheck::Ended(self.state) } else { FenceCheck::Fenced }
    }

    /// Loses a worker, and decides about the run that it held.
    pub fn lose(&mut self, log: &mut ModelLog, worker: u8, max_losses: u8) -> Option<LossOutcome> {
        let run = self.held_by(worker)?;
        if run.cancel != CancelState::No && !log.disables(DisabledRule::CancelAtLoss) {
            self.end(log, TaskState::Canceled);
            return Some(LossOutcome::Canceled);
        }
        let losses = if log.disables(DisabledRule::LossesCount) { 0 } else { run.losses + 1 };
        if losses >= max_losses {
            self.end(log, TaskState::Failed);
            return Some(LossOutcome::Poison);
        }
        self.write(log, ModelEntry::WorkerLost);
        let offered = ModelRun { losses, due: DueState::Now, ..run.offered() };
        self.run = Some(if log.disables(DisabledRule::LossOffers) { run } else { offered });
        Some(LossOutcome::Offered)
    }

    /// Removes a worker in good order.
    pub fn retire(&mut self, log: &mut ModelLog, worker: u8) -> Option<LossOutcome> {
        let run = self.held_by(worker)?;
        if run.cancel != CancelState::No {
            self.end(log, TaskState::Canceled);
            return Some(LossOutcome::Canceled);
        }
        self.run = Some(run.offered());
        Some(LossOutcome::Offered)
    }

    /// Returns the fence that the run currently accepts.
    #[cfg(test)]
    pub fn current_fence(&self) -> Option<ModelFence> {
        let run = self.run?;
        run.holder.map(|(_, token)| ModelFence { epoch: run.epoch, token })
    }

    /// Returns the run if this worker holds it.
    pub fn held_by(&self, worker: u8) -> Option<ModelRun> {
        self.run.filter(|run| run.holder.is_some_and(|(holder, _)| holder == worker))
    }

    /// Returns whether a worker holds the run.
    pub fn is_claimed(&self) -> bool {
        self.run.is_some_and(|run| run.holder.is_some())
    }

    /// Makes a due run runnable.
    pub fn promote(&mut self) {
        if let Some(run) = &mut self.run
            && run.due == DueState::Unseen
        {
            run.due = DueState::Now;
        }
    }

    /// Cancels a run by force after the grace.
    pub fn force(&mut self, log: &mut ModelLog) -> bool {
        let overdue = self.run.filter(|run| run.cancel == CancelState::Overdue);
        if overdue.is_some() {
            self.end(log, TaskState::Canceled);
            if log.disables(DisabledRule::ForcedCancelDequeues) {
                self.run = overdue;
            }
        }
        overdue.is_some()
    }
}

impl ModelRun {
    /// Creates the run of a new turn.
    pub const fn new(epoch: u8) -> Self {
        Self {
            epoch,
            attempt: 1,
            losses: 0,
            handed_back: false,
            cancel: CancelState::No,
            due: DueState::Now,
            holder: None,
            unstarted: true,
        }
    }

    /// Returns the run without its worker.
    pub const fn offered(self) -> Self {
        Self { holder: None, epoch: self.epoch + 1, ..self }
    }
}

/// Result of checking a fence.
pub(super) enum FenceCheck {
    Held(ModelRun),
    Done,
    Fenced,
    Ended(TaskState),
}
