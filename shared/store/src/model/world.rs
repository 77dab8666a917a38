//! A task between two workers, a client, a reaper, the clock and a network: everything that can happen next.

use super::{
    broken::Broken,
    record::{Cancel, Desk, Due, Loss, Record, Run},
    settle::{How, Write},
    worker::{Answer, Hold, Lease, Request, What, Worker},
    wrong::{Memory, Wrong, current},
};
use longhaul_domain::{TaskState, TerminalState};

/// How much of everything may still happen, so that there is an end to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Left {
    pub messages: u8,
    pub cancels: u8,
    /// Leases that run out.
    pub losses: u8,
    /// Answers that are lost.
    pub answers: u8,
    pub appends: u8,
    pub checkpoints: u8,
    pub releases: u8,
    pub retires: u8,
    /// Whether claims may be answered late or not at all.
    pub late_claims: bool,
    /// These are limits and do not change.
    pub attempts: u8,
    pub max_losses: u8,
}

impl Left {
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

/// A limit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    Never,
    Ahead,
    Passed,
    /// And with it the grace that a worker has.
    LongPassed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub record: Record,
    pub workers: [Worker; 2],
    /// A write of an executor that is no more.
    pub wire: Option<Request>,
    pub deadline: Limit,
    pub queue: Limit,
    pub left: Left,
    pub memory: Memory,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    FollowUp,
    Cancel,
    Claim(u8),
    ClaimAnswered(u8),
    ClaimLost(u8),
    /// The executor sends a write.
    Send(u8, What),
    Delivered(u8),
    DeliveredAnswerLost(u8),
    /// What an executor that is no more had sent arrives.
    DeliveredLate,
    ReadMessages(u8),
    HearCancel(u8),
    GiveBack(u8),
    GivenBack(u8),
    LeaseEnds(u8),
    LeaseRenewed(u8),
    Retire(u8),
    /// A new process takes the place of one that the store has forgotten.
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

impl World {
    pub fn new(left: Left) -> Self {
        let record = Record::accepted(&mut Desk::default());
        Self {
            record,
            workers: [Worker::NEW; 2],
            wire: None,
            deadline: Limit::Never,
            queue: Limit::Never,
            left,
            memory: Memory::NONE,
        }
    }

    /// What can happen next.
    pub fn actions(&self, broken: Option<Broken>) -> Vec<Action> {
        let mut actions = Vec::with_capacity(24);
        let mut may = |can: bool, action| {
            if can {
                actions.push(action);
            }
        };
        let (left, run) = (&self.left, self.record.run);
        let run_is = |test: fn(&Run) -> bool| run.as_ref().is_some_and(test);
        may(left.messages > 0, Action::FollowUp);
        may(left.cancels > 0, Action::Cancel);
        may(self.wire.is_some(), Action::DeliveredLate);
        may(run_is(|run| run.cancel == Cancel::Asked), Action::CancelGraceEnds);
        may(run_is(|run| run.cancel == Cancel::Overdue), Action::ReapCancel);
        may(run_is(|run| run.due == Due::Later), Action::RetryIsDue);
        may(run_is(|run| run.due == Due::Unseen), Action::ReapDue);
        let goes_on = !self.record.state.is_terminal();
        let ahead = matches!(self.deadline, Limit::Ahead | Limit::Passed);
        may(goes_on && ahead, Action::DeadlinePasses);
        may(self.is_past_deadline(), Action::ReapDeadline);
        let waits = run_is(|run| run.unstarted && run.holder.is_none());
        may(waits && self.queue == Limit::Ahead, Action::QueueTimePasses);
        may(waits && self.queue == Limit::Passed, Action::ReapQueue);
        for (n, worker) in (0u8..).zip(&self.workers) {
            self.worker_actions(n, worker, broken, &mut actions);
        }
        actions
    }

    /// Whether the deadline ends the task now.
    fn is_past_deadline(&self) -> bool {
        let passed = match self.deadline {
            Limit::Never | Limit::Ahead => false,
            Limit::Passed => !self.record.is_claimed(),
            Limit::LongPassed => true,
        };
        passed && !self.record.state.is_terminal()
    }

    fn worker_actions(
        &self,
        n: u8,
        worker: &Worker,
        broken: Option<Broken>,
        actions: &mut Vec<Action>,
    ) {
        let left = &self.left;
        let mut may = |can: bool, action| {
            if can {
                actions.push(action);
            }
        };
        let alive = worker.lease == Lease::Valid;
        let idle = worker.hold.is_none() && worker.claiming.is_none() && worker.back.is_none();
        let in_time = matches!(self.deadline, Limit::Never | Limit::Ahead);
        let desk = Desk { broken, ..Desk::default() };
        may(
            alive && idle && in_time && self.record.clone().claim(&desk, n).is_some(),
            Action::Claim(n),
        );
        may(worker.claiming.is_some(), Action::ClaimAnswered(n));
        may(worker.claiming.is_some() && left.answers > 0, Action::ClaimLost(n));
        may(left.losses > 0 && alive, Action::LeaseEnds(n));
        may(worker.lease == Lease::Over, Action::LeaseRenewed(n));
        may(worker.lease == Lease::Over, Action::ReapLost(n));
        may(worker.lease == Lease::Gone, Action::Restart(n));
        may(left.retires > 0 && alive, Action::Retire(n));
        let knows = broken == Some(Broken::KnowsBeforeGivingBack) || worker.claiming.is_none();
        let books = current(self).filter(|_| self.record.held_by(n).is_some());
        let unknown = books.is_some_and(|ticket| !worker.knows(ticket));
        may(unknown && knows && worker.back.is_none(), Action::GiveBack(n));
        may(worker.back.is_some(), Action::GivenBack(n));
        let Some(hold) = worker.hold else { return };
        may(hold.sent.is_some(), Action::Delivered(n));
        may(hold.sent.is_some() && left.answers > 0, Action::DeliveredAnswerLost(n));
        if hold.sent.is_none() {
            let holds = current(self) == Some(hold.ticket);
            may(holds && hold.read < self.record.message_seq, Action::ReadMessages(n));
            let asked = self.record.run.is_some_and(|run| run.cancel != Cancel::No);
            may(holds && asked && !hold.cancel, Action::HearCancel(n));
            actions.extend(self.sends(hold).map(|what| Action::Send(n, what)));
        }
    }

    /// What an executor may send.
    fn sends(&self, hold: Hold) -> impl Iterator<Item = What> {
        let left = &self.left;
        let again = hold.attempt < left.attempts;
        let end = |state| What::Settle(How::End(state));
        [
            (left.appends > 0, What::Append),
            (left.checkpoints > 0, What::Checkpoint),
            (true, end(TerminalState::Completed)),
            (!again, end(TerminalState::Failed)),
            (hold.cancel, end(TerminalState::Canceled)),
            (true, What::Settle(How::Park)),
            (again, What::Settle(How::Retry { later: true })),
            (left.releases > 0, What::Settle(How::Release)),
        ]
        .into_iter()
        .filter(|(may, _)| *may)
        .map(|(_, what)| what)
    }

    /// The world after something has happened.
    pub fn after(&self, action: Action, broken: Option<Broken>) -> Self {
        let mut next = *self;
        let mut desk = Desk { broken, ..Desk::default() };
        next.happen(action, &mut desk);
        next.judge(self);
        next
    }

    fn happen(&mut self, action: Action, desk: &mut Desk) {
        match action {
            Action::FollowUp => {
                self.left.messages -= 1;
                self.record.follow_up(desk);
            }
            Action::Cancel => {
                self.left.cancels -= 1;
                self.record.cancel(desk);
            }
            Action::CancelGraceEnds => self.change(|run| run.cancel = Cancel::Overdue),
            Action::RetryIsDue => self.change(|run| run.due = Due::Unseen),
            Action::ReapDue => self.record.promote(),
            Action::ReapCancel => {
                self.record.force(desk);
            }
            Action::DeadlinePasses if self.deadline == Limit::Ahead => {
                self.deadline = Limit::Passed;
            }
            Action::DeadlinePasses => self.deadline = Limit::LongPassed,
            Action::QueueTimePasses => self.queue = Limit::Passed,
            Action::ReapDeadline | Action::ReapQueue => {
                self.record.end(desk, TaskState::Failed);
            }
            Action::DeliveredLate => {
                if let Some(request) = self.wire.take() {
                    self.deliver(request, desk);
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
            | Action::GivenBack(n) => self.run_on(n, action, desk),
            Action::LeaseEnds(n)
            | Action::LeaseRenewed(n)
            | Action::Retire(n)
            | Action::Restart(n)
            | Action::ReapLost(n) => self.live_and_die(n, action, desk),
        }
    }

    /// What happens to a run on a worker.
    fn run_on(&mut self, n: u8, action: Action, desk: &mut Desk) {
        let mut worker = self.workers[usize::from(n)];
        let read = self.record.message_seq;
        match (action, &mut worker.hold) {
            (Action::Claim(_), _) => {
                let stolen = self.record.is_claimed();
                worker.claiming = self.record.claim(desk, n);
                self.memory.blame(stolen, Wrong::Stolen);
                let epoch = worker.claiming.map_or(0, |handed| handed.ticket.epoch);
                let same = desk.breaks(Broken::FreshFence);
                self.memory.blame(epoch <= self.memory.epoch && !same, Wrong::OldFence);
                self.memory.epoch = epoch;
                if !self.left.late_claims {
                    worker.begin();
                }
            }
            (Action::ClaimAnswered(_), _) => worker.begin(),
            (Action::ClaimLost(_), _) => {
                self.left.answers -= 1;
                worker.claiming = None;
            }
            (Action::GiveBack(_), _) => {
                worker.back = current(self).map(|ticket| {
                    let what = What::Settle(How::Release);
                    Request { ticket, op: 1, what, read: 0, back: true }
                });
            }
            (Action::GivenBack(_), _) => {
                if let Some(request) = worker.back.take() {
                    self.deliver(request, desk);
                }
            }
            (Action::Send(_, what), Some(hold)) => {
                self.pay(what);
                hold.op += 1;
                let Hold { ticket, op, read, .. } = *hold;
                hold.sent = Some(Request { ticket, op, what, read, back: false });
            }
            (Action::ReadMessages(_), Some(hold)) => hold.read = read,
            (Action::HearCancel(_), Some(hold)) => hold.cancel = true,
            (Action::Delivered(_), Some(Hold { sent: Some(request), .. })) => {
                let request = *request;
                let answer = self.deliver(request, desk);
                worker.hear(request.what, answer);
            }
            (_, Some(Hold { sent: Some(request), .. })) => {
                self.left.answers -= 1;
                self.deliver(*request, desk);
            }
            _ => {}
        }
        self.workers[usize::from(n)] = worker;
    }

    fn pay(&mut self, what: What) {
        match what {
            What::Append => self.left.appends -= 1,
            What::Checkpoint => self.left.checkpoints -= 1,
            What::Settle(How::Release) => self.left.releases -= 1,
            What::Settle(_) => {}
        }
    }

    fn live_and_die(&mut self, n: u8, action: Action, desk: &mut Desk) {
        let worker = &mut self.workers[usize::from(n)];
        match action {
            Action::LeaseEnds(_) => {
                self.left.losses -= 1;
                worker.lease = Lease::Over;
            }
            Action::LeaseRenewed(_) => worker.lease = Lease::Valid,
            Action::Restart(_) => {
                self.wire = worker.hold.and_then(|hold| hold.sent).or(self.wire);
                *worker = Worker::NEW;
            }
            Action::Retire(_) => {
                self.left.retires -= 1;
                worker.lease = Lease::Gone;
                self.record.retire(desk, n);
            }
            _ => {
                worker.lease = Lease::Gone;
                let lost = self.record.lose(desk, n, self.left.max_losses);
                self.memory.lost_in_a_row += u8::from(lost == Some(Loss::Offered));
            }
        }
    }

    fn change(&mut self, how: impl FnOnce(&mut Run)) {
        if let Some(run) = &mut self.record.run {
            how(run);
        }
    }

    /// A write arrives at the store.
    fn deliver(&mut self, request: Request, desk: &mut Desk) -> Answer {
        let held = current(self) == Some(request.ticket);
        let Request { ticket, op, what, read, .. } = request;
        let write = Write { ticket, op, checkpoint: what == What::Checkpoint };
        let answer = match what {
            What::Append | What::Checkpoint => self.record.append(desk, write).into(),
            What::Settle(how) => self.record.settle(desk, write, how, read).into(),
        };
        request.judge(&mut self.memory, held, answer);
        answer
    }
}
