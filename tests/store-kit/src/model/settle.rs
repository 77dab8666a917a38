//! The end of a run, in the model.

use super::{
    disabled::DisabledRule,
    task::{
        CancelState, DueState, FenceCheck, ModelEntry, ModelLog, ModelRun, ModelWrite, TaskModel,
    },
};
use longhaul_domain::{TaskState, TerminalState};
use longhaul_store::Settled;

/// The end of a run. An end, a park and a retry bring a `working` status before the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SettleKind {
    End(TerminalState),
    Park,
    Retry { later: bool },
    Release,
}

/// Decision about a settled run.
enum ModelDecision {
    Over,
    Canceled,
    OfferAgain(ModelRun),
    HandedBack(ModelRun),
}

impl TaskModel {
    pub fn settle(
        &mut self,
        log: &mut ModelLog,
        write: ModelWrite,
        how: SettleKind,
        read: u8,
    ) -> Settled {
        let run = match self.guard(log, write, true) {
            FenceCheck::Held(run) => run,
            FenceCheck::Done => return Settled::Already { last: self.seq() },
            FenceCheck::Fenced => return Settled::Fenced,
            FenceCheck::Ended(state) => return Settled::Ended(state),
        };
        self.note(write);
        self.settle_token = write.fence.token;
        self.epoch = run.epoch;
        if how != SettleKind::Release {
            self.write(log, ModelEntry::Status(TaskState::Working));
        }
        let decide = self.decide(log, how, read, run);
        let handed_back = matches!(decide, ModelDecision::HandedBack(_));
        match (decide, how) {
            (ModelDecision::Over, SettleKind::End(state)) => self.end(log, state.state()),
            (ModelDecision::Over, _) => self.end(log, TaskState::InputRequired),
            (ModelDecision::Canceled, _) => self.end(log, TaskState::Canceled),
            (ModelDecision::OfferAgain(run) | ModelDecision::HandedBack(run), _) => {
                self.run = Some(ModelRun { losses: 0, ..run.offered() });
            }
        }
        let last = self.seq();
        if handed_back { Settled::HandedBack { last } } else { Settled::Now { last } }
    }

    fn decide(&self, log: &ModelLog, how: SettleKind, read: u8, run: ModelRun) -> ModelDecision {
        let canceling = |rule| run.cancel != CancelState::No && !log.disables(rule);
        let unread = self.message_seq > read;
        match how {
            // The first to end the task wins, even over a cancel request; but a canceled run is not
            // repeated.
            SettleKind::End(state) => {
                let may = !run.handed_back || log.disables(DisabledRule::HandedBackOnce);
                let may = may && run.cancel == CancelState::No && state != TerminalState::Canceled;
                if unread && may {
                    ModelDecision::HandedBack(ModelRun { handed_back: true, ..run })
                } else {
                    ModelDecision::Over
                }
            }
            SettleKind::Park if canceling(DisabledRule::CancelAtPark) => ModelDecision::Canceled,
            SettleKind::Park if unread && !log.disables(DisabledRule::UnreadAtPark) => {
                ModelDecision::HandedBack(run)
            }
            SettleKind::Park => ModelDecision::Over,
            SettleKind::Retry { .. } if canceling(DisabledRule::CancelAtRetry) => {
                ModelDecision::Canceled
            }
            SettleKind::Release if canceling(DisabledRule::CancelAtRelease) => {
                ModelDecision::Canceled
            }
            SettleKind::Retry { later } => {
                let due = if later { DueState::Later } else { DueState::Now };
                ModelDecision::OfferAgain(ModelRun { due, attempt: run.attempt + 1, ..run })
            }
            SettleKind::Release => ModelDecision::OfferAgain(run),
        }
    }
}
