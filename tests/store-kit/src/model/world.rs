//! A task between two workers, a client, a reaper, the clock and a network: every possible next
//! step.

use super::{
    disabled::DisabledRule,
    settle::SettleKind,
    task::{CancelState, DueState, LossOutcome, ModelLog, ModelRun, ModelWrite, TaskModel},
    violation::{InvariantViolation, WriteHistory},
    worker::{LeaseState, ModelWorker, WorkerRun, WriteInFlight, WriteKind, WriteReply},
};
use longhaul_domain::{TaskState, TerminalState};

/// Remaining actions of each kind, which bound the exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActionBudget {
    pub messages: u8,
    pub cancels: u8,
    /// Leases that expire.
    pub losses: u8,
    /// Answers that are lost.
    pub answers: u8,
    pub appends: u8,
    pub checkpoints: u8,
    pub releases: u8,
    pub retires: u8,
    /// Set if claims may be answered late or not at all.
    pub late_claims: bool,
    /// Limits, which do not change.
    pub attempts: u8,
    pub max_losses: u8,
}

impl ActionBudget {
    pub const NOTHING: Self = Self {
        messages: 0,
        cancels: 0,
        losses: 0,
        answers: 0,
        appends: 0,
        checkpoints: 0,
        releases: 0,
        retires: 0,
        late_claims: false,
        attempts: 1,
        max_losses: 9,
    };
}

/// State of a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimerState {
    Never,
    Ahead,
    Passed,
    /// Passed, and with it the grace of a worker.
    LongPassed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelWorld {
    pub record: TaskModel,
    pub workers: [ModelWorker; 2],
    /// A write of an executor that is gone.
    pub late_write: Option<WriteInFlight>,
    pub deadline: TimerState,
    pub queue: TimerState,
    pub budget: ActionBudget,
    pub history: WriteHistory,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    FollowUp,
    Cancel,
    Claim(u8),
    ClaimAnswered(u8),
    ClaimLost(u8),
    /// The executor sends a write.
    Send(u8, WriteKind),
    Delivered(u8),
    DeliveredAnswerLost(u8),
    /// A write of an executor that is gone arrives.
    DeliveredLate,
    ReadMessages(u8),
    HearCancel(u8),
    GiveBack(u8),
    GivenBack(u8),
    LeaseEnds(u8),
    LeaseRenewed(u8),
    Retire(u8),
    /// A new process replaces one that the store has forgotten.
    Restart(u8),
    CancelGraceEnds,
    RetryIsDue,
    DeadlinePasses,
    QueueTimePasses,
    ReapLost(u8),
    ReapCancel,
    ReapDeadline,
    ReapQueue,
    ReapDue,
}

impl ModelWorld {
    pub fn new(budget: ActionBudget) -> Self {
        let record = TaskModel::accepted(&mut ModelLog::default());
        Self {
            record,
            workers: [ModelWorker::NEW; 2],
            late_write: None,
            deadline: TimerState::Never,
            queue: TimerState::Never,
            budget,
            history: WriteHistory::NONE,
        }
    }

    /// Lists the possible next steps.
    pub fn actions(&self, disabled: Option<DisabledRule>) -> Vec<Action> {
        let mut actions = Vec::with_capacity(24);
        let mut may = |can: bool, action| {
            if can {
                actions.push(action);
            }
        };
        let (budget, run) = (&self.budget, self.record.run);
        let run_is = |test: fn(&ModelRun) -> bool| run.as_ref().is_some_and(test);
        may(budget.messages > 0, Action::FollowUp);
        may(budget.cancels > 0, Action::Cancel);
        may(self.late_write.is_some(), Action::DeliveredLate);
        may(run_is(|run| run.cancel == CancelState::Asked), Action::CancelGraceEnds);
        may(run_is(|run| run.cancel == CancelState::Overdue), Action::ReapCancel);
        may(run_is(|run| run.due == DueState::Later), Action::RetryIsDue);
        may(run_is(|run| run.due == DueState::Unseen), Action::ReapDue);
        let goes_on = !self.record.state.is_terminal();
        let ahead = matches!(self.deadline, TimerState::Ahead | TimerState::Passed);
        may(goes_on && ahead, Action::DeadlinePasses);
        may(self.is_past_deadline(), Action::ReapDeadline);
        let waits = run_is(|run| run.unstarted && run.holder.is_none());
        may(waits && self.queue == TimerState::Ahead, Action::QueueTimePasses);
        may(waits && self.queue == TimerState::Passed, Action::ReapQueue);
        for (n, worker) in (0u8..).zip(&self.workers) {
            self.worker_actions(n, worker, disabled, &mut actions);
        }
        actions
    }

    /// Returns whether the deadline ends the task now.
    fn is_past_deadline(&self) -> bool {
        let passed = match self.deadline {
            TimerState::Never | TimerState::Ahead => false,
            TimerState::Passed => !self.record.is_claimed(),
            TimerState::LongPassed => true,
        };
        passed && !self.record.state.is_terminal()
    }

    fn worker_actions(
        &self,
        n: u8,
        worker: &ModelWorker,
        disabled: Option<DisabledRule>,
        actions: &mut Vec<Action>,
    ) {
        let budget = &self.budget;
        let mut may = |can: bool, action| {
            if can {
                actions.push(action);
            }
        };
        let alive = worker.lease == LeaseState::Valid;
        let idle =
            worker.running.is_none() && worker.claiming.is_none() && worker.release.is_none();
        let in_time = matches!(self.deadline, TimerState::Never | TimerState::Ahead);
        let log = ModelLog { disabled, ..ModelLog::default() };
        may(
            alive && idle && in_time && self.record.clone().claim(&log, n).is_some(),
            Action::Claim(n),
        );
        may(worker.claiming.is_some(), Action::ClaimAnswered(n));
        may(worker.claiming.is_some() && budget.answers > 0, Action::ClaimLost(n));
        may(budget.losses > 0 && alive, Action::LeaseEnds(n));
        may(worker.lease == LeaseState::Over, Action::LeaseRenewed(n));
        may(worker.lease == LeaseState::Over, Action::ReapLost(n));
        may(worker.lease == LeaseState::Gone, Action::Restart(n));
        may(budget.retires > 0 && alive, Action::Retire(n));
        let knows = disabled == Some(DisabledRule::WaitsForOwnClaim) || worker.claiming.is_none();
        let books = self.record.current_fence().filter(|_| self.record.held_by(n).is_some());
        let unknown = books.is_some_and(|fence| !worker.knows(fence));
        may(unknown && knows && worker.release.is_none(), Action::GiveBack(n));
        may(worker.release.is_some(), Action::GivenBack(n));
        let Some(running) = worker.running else { return };
        may(running.sent.is_some(), Action::Delivered(n));
        may(running.sent.is_some() && budget.answers > 0, Action::DeliveredAnswerLost(n));
        if running.sent.is_none() {
            let holds = self.record.current_fence() == Some(running.fence);
            may(holds && running.read < self.record.message_seq, Action::ReadMessages(n));
            let asked = self.record.run.is_some_and(|run| run.cancel != CancelState::No);
            may(holds && asked && !running.cancel, Action::HearCancel(n));
            actions.extend(self.possible_writes(running).map(|what| Action::Send(n, what)));
        }
    }

    /// Lists the writes that an executor may send.
    fn possible_writes(&self, running: WorkerRun) -> impl Iterator<Item = WriteKind> {
        let budget = &self.budget;
        let again = running.attempt < budget.attempts;
        let end = |state| WriteKind::Settle(SettleKind::End(state));
        [
            (budget.appends > 0, WriteKind::Append),
            (budget.checkpoints > 0, WriteKind::Checkpoint),
            (true, end(TerminalState::Completed)),
            (!again, end(TerminalState::Failed)),
            (running.cancel, end(TerminalState::Canceled)),
            (true, WriteKind::Settle(SettleKind::Park)),
            (again, WriteKind::Settle(SettleKind::Retry { later: true })),
            (budget.releases > 0, WriteKind::Settle(SettleKind::Release)),
        ]
        .into_iter()
        .filter(|(may, _)| *may)
        .map(|(_, what)| what)
    }

    /// Returns the world after an action.
    pub fn after(&self, action: Action, disabled: Option<DisabledRule>) -> Self {
        let mut next = *self;
        let mut log = ModelLog { disabled, ..ModelLog::default() };
        next.apply(action, &mut log);
        next.judge(self);
        next
    }

    /// Judges the effects of one step.
    fn judge(&mut self, before: &Self) {
        let (was, is) = (before.record, self.record);
        let after_the_end = was.state.is_terminal() && (is.last, is.state) != (was.last, was.state);
        self.history.report(after_the_end, InvariantViolation::WrittenAfterTheEnd);
        let asked =
            |world: &Self| world.record.run.is_some_and(|run| run.cancel != CancelState::No);
        if !asked(before) && asked(self) {
            self.history.asked = self.record.current_fence();
        }
        if is.turn != was.turn {
            self.history.ends_handed_back = 0;
            self.history.lost_in_a_row = 0;
        }
        if is.state != TaskState::InputRequired {
            self.history.parked_read = 0;
        }
    }

    fn apply(&mut self, action: Action, log: &mut ModelLog) {
        match action {
            Action::FollowUp => {
                self.budget.messages -= 1;
                self.record.follow_up(log);
            }
            Action::Cancel => {
                self.budget.cancels -= 1;
                self.record.cancel(log);
            }
            Action::CancelGraceEnds => self.change(|run| run.cancel = CancelState::Overdue),
            Action::RetryIsDue => self.change(|run| run.due = DueState::Unseen),
            Action::ReapDue => self.record.promote(),
            Action::ReapCancel => {
                self.record.force(log);
            }
            Action::DeadlinePasses if self.deadline == TimerState::Ahead => {
                self.deadline = TimerState::Passed;
            }
            Action::DeadlinePasses => self.deadline = TimerState::LongPassed,
            Action::QueueTimePasses => self.queue = TimerState::Passed,
            Action::ReapDeadline | Action::ReapQueue => {
                self.record.end(log, TaskState::Failed);
            }
            Action::DeliveredLate => {
                if let Some(request) = self.late_write.take() {
                    self.deliver(request, log);
                }
            }
            Action::Claim(n)
            | Action::ClaimAnswered(n)
            | Action::ClaimLost(n)
            | Action::Send(n, _)
            | Action::Delivered(n)
            | Action::DeliveredAnswerLost(n)
            | Action::ReadMessages(n)
            | Action::HearCancel(n)
            | Action::GiveBack(n)
            | Action::GivenBack(n) => self.apply_to_run(n, action, log),
            Action::LeaseEnds(n)
            | Action::LeaseRenewed(n)
            | Action::Retire(n)
            | Action::Restart(n)
            | Action::ReapLost(n) => self.apply_to_worker(n, action, log),
        }
    }

    /// Applies an action that concerns a run on a worker.
    fn apply_to_run(&mut self, n: u8, action: Action, log: &mut ModelLog) {
        let mut worker = self.workers[usize::from(n)];
        let read = self.record.message_seq;
        match (action, &mut worker.running) {
            (Action::Claim(_), _) => {
                let stolen = self.record.is_claimed();
                worker.claiming = self.record.claim(log, n);
                self.history.report(stolen, InvariantViolation::ClaimedWhileHeld);
                let epoch = worker.claiming.map_or(0, |handed| handed.fence.epoch);
                let same = log.disables(DisabledRule::FreshFence);
                self.history.report(
                    epoch <= self.history.epoch && !same,
                    InvariantViolation::FenceNotFresh,
                );
                self.history.epoch = epoch;
                if !self.budget.late_claims {
                    worker.begin();
                }
            }
            (Action::ClaimAnswered(_), _) => worker.begin(),
            (Action::ClaimLost(_), _) => {
                self.budget.answers -= 1;
                worker.claiming = None;
            }
            (Action::GiveBack(_), _) => {
                worker.release = self.record.current_fence().map(|fence| {
                    let what = WriteKind::Settle(SettleKind::Release);
                    WriteInFlight { fence, op: 1, what, read: 0, release: true }
                });
            }
            (Action::GivenBack(_), _) => {
                if let Some(request) = worker.release.take() {
                    self.deliver(request, log);
                }
            }
            (Action::Send(_, what), Some(running)) => {
                self.spend(what);
                running.op += 1;
                let WorkerRun { fence, op, read, .. } = *running;
                running.sent = Some(WriteInFlight { fence, op, what, read, release: false });
            }
            (Action::ReadMessages(_), Some(running)) => running.read = read,
            (Action::HearCancel(_), Some(running)) => running.cancel = true,
            (Action::Delivered(_), Some(WorkerRun { sent: Some(request), .. })) => {
                let request = *request;
                let answer = self.deliver(request, log);
                worker.receive(request.what, answer);
            }
            (_, Some(WorkerRun { sent: Some(request), .. })) => {
                self.budget.answers -= 1;
                self.deliver(*request, log);
            }
            _ => {}
        }
        self.workers[usize::from(n)] = worker;
    }

    fn spend(&mut self, what: WriteKind) {
        match what {
            WriteKind::Append => self.budget.appends -= 1,
            WriteKind::Checkpoint => self.budget.checkpoints -= 1,
            WriteKind::Settle(SettleKind::Release) => self.budget.releases -= 1,
            WriteKind::Settle(_) => {}
        }
    }

    fn apply_to_worker(&mut self, n: u8, action: Action, log: &mut ModelLog) {
        let worker = &mut self.workers[usize::from(n)];
        match action {
            Action::LeaseEnds(_) => {
                self.budget.losses -= 1;
                worker.lease = LeaseState::Over;
            }
            Action::LeaseRenewed(_) => worker.lease = LeaseState::Valid,
            Action::Restart(_) => {
                self.late_write =
                    worker.running.and_then(|running| running.sent).or(self.late_write);
                *worker = ModelWorker::NEW;
            }
            Action::Retire(_) => {
                self.budget.retires -= 1;
                worker.lease = LeaseState::Gone;
                self.record.retire(log, n);
            }
            _ => {
                worker.lease = LeaseState::Gone;
                let lost = self.record.lose(log, n, self.budget.max_losses);
                self.history.lost_in_a_row += u8::from(lost == Some(LossOutcome::Offered));
            }
        }
    }

    fn change(&mut self, how: impl FnOnce(&mut ModelRun)) {
        if let Some(run) = &mut self.record.run {
            how(run);
        }
    }

    /// Delivers a write to the store.
    fn deliver(&mut self, request: WriteInFlight, log: &mut ModelLog) -> WriteReply {
        let held = self.record.current_fence() == Some(request.fence);
        let WriteInFlight { fence, op, what, read, .. } = request;
        let write = ModelWrite { fence, op, checkpoint: what == WriteKind::Checkpoint };
        let answer = match what {
            WriteKind::Append | WriteKind::Checkpoint => self.record.append(log, write).into(),
            WriteKind::Settle(how) => self.record.settle(log, write, how, read).into(),
        };
        request.judge(&mut self.history, held, answer);
        answer
    }
}
