//! The end of a run: what was decided is written, and whoever has to know is told.

use super::Run;
use crate::settlement::{Ended, Facts, FailureReason, NOT_STORED, Settlement, decide};
use longhaul_dispatch::WakeHint;
use longhaul_domain::{EntryBody, Seq, TaskState, log::StatusChange};
use longhaul_executor::{ExecutorFailure, Outcome};
use longhaul_runtime::TraceContext;
use longhaul_store::{SettleAs, Settled, StoreError};
use std::time::Duration;

impl Run<'_> {
    /// Writes the end of a call. Nothing may be under way.
    pub(super) async fn end(&self, ended: Ended, read_up_to: Seq) {
        if let Some(settlement) = decide(ended, &self.facts()) {
            self.settle(settlement, read_up_to).await;
        } else {
            tracing::warn!("the run was lost to another worker; nothing more is written");
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            task: self.claimed.key.task,
            context: &self.claimed.context,
            created_at: self.claimed.created_at,
            deadline: self.claimed.deadline,
            attempt: self.claimed.attempt,
            policy: self.terms,
            direct: self.agent.descriptor.agent.direct,
            stopped: self.signals.why(),
            refused: self.output.refused(),
            id: self.env.ids.uuid_v7(),
            #[expect(clippy::cast_precision_loss, reason = "jitter needs no precision")]
            random: (self.env.ids.random_u128() >> 96) as f64 / f64::from(u32::MAX),
        }
    }

    async fn settle(&self, settlement: Settlement, read_up_to: Seq) {
        let reason = settlement.failure_reason();
        let Settlement { how, last } = settlement;
        match self.output.settle(&self.pending, last, how.clone(), read_up_to).await {
            Ok(settled) => self.settled(&how, settled, reason),
            Err(error @ (StoreError::Refused(_) | StoreError::Corrupt { .. })) => {
                tracing::error!(%error, "the store refused the end of the run; the task fails");
                self.fail(read_up_to).await;
            }
            Err(error) => self.give_back(&error).await,
        }
    }

    /// Ends a task whose output the store will not take.
    async fn fail(&self, read_up_to: Seq) {
        let ended = Ended::Returned(Ok(Outcome::Failed(ExecutorFailure::fatal(NOT_STORED))));
        let facts = Facts { refused: None, stopped: None, ..self.facts() };
        let Some(settlement) = decide(ended, &facts) else { return };
        let reason = settlement.failure_reason();
        let Settlement { how, mut last } = settlement;
        if self.claimed.state == TaskState::Submitted && !self.output.has_written() {
            last.insert(0, EntryBody::Status(StatusChange::to(TaskState::Working)));
        }
        match self.output.settle(&self.pending, last, how.clone(), read_up_to).await {
            Ok(settled) => self.settled(&how, settled, reason),
            Err(error) => self.give_back(&error).await,
        }
    }

    fn settled(&self, how: &SettleAs, settled: Settled, reason: Option<FailureReason>) {
        let reason = reason.unwrap_or_default();
        match (settled, how) {
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::End(state)) => {
                if let Some(because) = reason.because {
                    tracing::error!(%because, cause = reason.cause, "task failed");
                } else {
                    tracing::info!(state = %state.state(), "task ended");
                }
                self.freed();
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Park(state)) => {
                tracing::info!(state = %state.state(), "parked");
                self.freed();
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Retry(delay)) => {
                let retry_in_ms = delay.as_millis();
                tracing::warn!(cause = reason.cause, retry_in_ms, "attempt failed");
                self.retry(*delay);
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Release)
            | (Settled::HandedBack { .. }, _) => {
                tracing::debug!("given back");
                self.wake();
            }
            (Settled::Fenced, _) => tracing::warn!("the run belongs to another worker"),
            (Settled::Ended(state), _) => tracing::info!(%state, "the task had ended otherwise"),
        }
    }

    /// The next attempt begins when a reaper finds that it is due; this worker's looks then.
    fn retry(&self, delay: Duration) {
        if delay.is_zero() {
            self.wake();
        } else {
            self.env.alarm.ring_in(delay);
            self.freed();
        }
    }

    /// A place under a limit of the agent is free. This worker looks by itself whether something waits for it, unless it
    /// drains: then others have to.
    fn freed(&self) {
        let limited = !self.agent.descriptor.agent.limits.running.is_none();
        if limited && self.env.draining.is_cancelled() {
            self.wake();
        }
    }

    /// Wakes whoever is free.
    fn wake(&self) {
        let trace = self.claimed.trace.as_deref();
        self.env.waker.wake(WakeHint {
            agent: self.claimed.agent.clone(),
            task: self.claimed.key,
            trace: trace.and_then(|text| TraceContext::parse(text, None).ok()),
        });
    }
}
