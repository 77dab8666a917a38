//! One run: from claim to settlement.
//!
//! The executor's call runs on the executors' runtime, and its output is written meanwhile. When
//! the call returns, panics, exceeds a limit or is stopped, remaining output is written together
//! with the settlement. If the process dies at any point, the lease expires and the run is offered
//! again; output written before stays.

mod env;
mod history;
mod policy;
mod task_io;
mod time_limits;

pub use env::{AgentExecutor, RunEnv};
pub use history::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES};

use crate::{
    output::{Output, PendingAppend},
    run_signals::{RunSignals, StopReason},
    settlement::{
        AttemptContext, ExecutorExit, FailureReason, OUTPUT_NOT_STORED, Settlement, decide,
        release_request,
    },
    slots::Slot,
};
use futures::future::{FusedFuture, FutureExt};
use history::{History, HistoryError, read_history};
use longhaul_dispatch::WakeHint;
use longhaul_domain::{EntryBody, Fence, Seq, TaskKey, TaskState, log::StatusChange};
use longhaul_executor::{
    Assignment, ExecutorError, ExecutorFailure, Outcome, OutputStopped, RunPolicy, TaskContext,
};
use longhaul_runtime::{TraceContext, spawn::panic_message};
use longhaul_store::{ClaimedRun, SettleAs, Settled, Store, StoreError};
use policy::effective_policy;
use std::{
    future::pending,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};
use task_io::RunTaskIo;
use time_limits::{TimeLimits, wait_overrun};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Time for which the opening `working` status waits for the first output.
const OPENING_DELAY: Duration = Duration::from_millis(20);

/// Executes one run from claim to settlement, and frees its slot.
pub async fn run(env: Arc<RunEnv>, agent: Arc<AgentExecutor>, claimed: ClaimedRun, slot: Slot) {
    let trace = claimed.trace.as_deref().and_then(|text| TraceContext::parse(text, None).ok());
    let span = tracing::info_span!(
        "run",
        task_id = %claimed.key.task,
        agent = %claimed.agent,
        attempt = claimed.attempt,
        trace_id = trace.as_ref().map(TraceContext::trace_id),
    );
    if let Some(trace) = &trace {
        longhaul_runtime::telemetry::continue_trace(&span, trace);
    }
    let claim = RunClaim::new(&claimed);
    let signals = Arc::new(RunSignals::new());
    let run = Run::new(&env, &agent, claimed, Arc::clone(&signals));
    if let Err(panic) = AssertUnwindSafe(run.execute()).catch_unwind().instrument(span).await {
        // A panic in the worker must not strand the task: release the run.
        let (task_id, panic) = (claim.key.task, panic_message(&*panic));
        tracing::error!(%task_id, panic, "worker panicked while running task");
        claim.release(&env, &signals).await;
    }
    // Code that the executor has left running must not write or read any more.
    signals.stop(StopReason::LeaseLost);
    drop(slot);
}

/// The claim of a run, as far as a release needs it.
#[derive(Clone, Copy)]
struct RunClaim {
    key: TaskKey,
    fence: Fence,
    attempt: i32,
}

impl RunClaim {
    const fn new(claimed: &ClaimedRun) -> Self {
        Self { key: claimed.key, fence: claimed.fence, attempt: claimed.attempt }
    }

    /// Releases the run unless its lease is lost. After a failure, reconciliation releases it.
    async fn release(self, env: &RunEnv, signals: &RunSignals) {
        let request = release_request(self.key, self.fence, self.attempt);
        if let Some(Err(error)) = signals.unless_lease_lost(env.store.settle(request)).await {
            tracing::error!(%error, task_id = %self.key.task, "release failed");
        }
    }
}

struct Run<'a> {
    env: &'a RunEnv,
    agent: &'a AgentExecutor,
    claimed: ClaimedRun,
    policy: RunPolicy,
    signals: Arc<RunSignals>,
    output: Arc<Output>,
    pending: PendingAppend,
}

impl<'a> Run<'a> {
    fn new(
        env: &'a RunEnv,
        agent: &'a AgentExecutor,
        claimed: ClaimedRun,
        signals: Arc<RunSignals>,
    ) -> Self {
        if claimed.cancel {
            signals.stop(StopReason::Canceled);
        }
        let opening = (claimed.state == TaskState::Submitted)
            .then(|| EntryBody::Status(StatusChange::to(TaskState::Working)));
        let output = Arc::new(Output::new(
            Arc::<dyn Store>::clone(&env.store),
            claimed.key,
            claimed.fence,
            claimed.attempt,
            Arc::clone(&signals),
            opening,
        ));
        let policy = agent.descriptor.policy;
        Self { env, agent, claimed, policy, signals, output, pending: PendingAppend::default() }
    }

    async fn execute(mut self) {
        let (key, fence) = (self.claimed.key, self.claimed.fence);
        // Before the history is read, so that a cancel interrupts the read.
        let _guard = self.env.runs.register(key, fence, Arc::clone(&self.signals));
        tracing::debug!(waited_ms = self.claimed.waited.as_millis(), "run started");
        match read_history(self.env, &self.signals, &mut self.claimed).await {
            Ok(history) => {
                let (first, last) = (&history.first_metadata, &history.last_metadata);
                self.policy = effective_policy(self.policy, first.as_ref(), last.as_ref());
                let ctx = self.task_context(history);
                let exit = self.call_executor(ctx.clone()).await;
                self.output.finish_write(&self.pending).await;
                // Before the run is released, or this worker would claim it again.
                match &exit {
                    ExecutorExit::Returned(Err(OutputStopped::Unavailable)) => {
                        self.agent.availability.mark_unavailable();
                    }
                    ExecutorExit::Returned(Ok(_)) => self.agent.availability.record_success(),
                    _ => {}
                }
                self.end(exit, ctx.read_up_to()).await;
            }
            Err(error) => {
                let returned = match error {
                    HistoryError::Stopped(stopped) => Err(stopped),
                    HistoryError::Failed(failure) => Ok(Outcome::Failed(*failure)),
                };
                self.end(ExecutorExit::Returned(returned), self.claimed.message_seq).await;
            }
        }
    }

    /// The context of the executor's call. It takes the history over.
    fn task_context(&mut self, history: History) -> TaskContext {
        let claimed = &mut self.claimed;
        let assignment = Assignment {
            key: claimed.key,
            agent: claimed.agent.clone(),
            context: claimed.context.clone(),
            created_at: claimed.created_at,
            attempt: claimed.attempt,
            max_attempts: i32::try_from(self.policy.max_attempts).unwrap_or(i32::MAX),
            turn: claimed.turn,
            deadline: claimed.deadline,
            history: history.items,
            earlier_before: history.earlier_before,
            request_metadata: history.request_metadata,
            accepted_output_modes: history.accepted_output_modes,
            state_before: claimed.state,
            has_checkpoints: claimed.has_checkpoints,
        };
        let io = RunTaskIo {
            store: Arc::clone(&self.env.store),
            key: claimed.key,
            context: claimed.context.clone(),
            signals: Arc::clone(&self.signals),
            output: Arc::clone(&self.output),
            searched_up_to: AtomicI64::new(assignment.read_up_to().0),
        };
        let ids = Arc::clone(&self.env.ids);
        let ids = Arc::new(move || ids.uuid_v7());
        TaskContext::new(assignment, Arc::new(io), self.signals.stop.clone(), ids)
    }

    /// Calls the executor and writes its output until the call ends or is abandoned.
    async fn call_executor(&self, ctx: TaskContext) -> ExecutorExit {
        let (executor, output) = (Arc::clone(&self.agent.executor), Arc::clone(&self.output));
        let call = async move { output.polls.track(executor.execute(ctx)).await };
        let mut call = ExecutorCall(self.env.executors.spawn(call.in_current_span()));
        let limits = TimeLimits::new(self.policy, self.claimed.deadline_in);
        let mut writing = pin!(self.output.keep_writing(&self.pending).fuse());
        let write_opening = async {
            tokio::time::sleep(OPENING_DELAY).await;
            self.output.write_soon();
            pending::<()>().await;
        };
        // Writing that has ended early has stopped the run; the executor still gets its grace.
        let keep_writing = async {
            writing.as_mut().await;
            pending::<()>().await;
        };
        let exit = tokio::select! {
            exit = call.exit() => exit,
            () = wait_overrun(self.env, &self.signals, limits) => {
                tracing::warn!("executor did not stop in time; abandoned");
                ExecutorExit::Abandoned
            }
            () = keep_writing => ExecutorExit::Abandoned,
            () = write_opening => ExecutorExit::Abandoned,
        };
        // The append in flight is awaited, not repeated. What is buffered goes with the settlement.
        self.output.close();
        if !writing.is_terminated() {
            writing.await;
        }
        exit
    }

    /// Settles the run after an exit. No append may be in flight.
    async fn end(&self, exit: ExecutorExit, read_up_to: Seq) {
        if let Some(settlement) = decide(exit, &self.attempt_context()) {
            self.settle(settlement, read_up_to).await;
        } else {
            tracing::warn!("lease lost: run not settled");
        }
    }

    fn attempt_context(&self) -> AttemptContext<'_> {
        AttemptContext {
            task: self.claimed.key.task,
            context: &self.claimed.context,
            created_at: self.claimed.created_at,
            deadline: self.claimed.deadline,
            attempt: self.claimed.attempt,
            policy: self.policy,
            direct: self.agent.descriptor.agent.direct,
            stop_reason: self.signals.stop_reason(),
            refusal: self.output.refusal(),
            message_id: self.env.ids.uuid_v7(),
            #[expect(clippy::cast_precision_loss, reason = "jitter needs no precision")]
            random: (self.env.ids.random_u128() >> 96) as f64 / f64::from(u32::MAX),
        }
    }

    async fn settle(&self, settlement: Settlement, read_up_to: Seq) {
        let reason = settlement.failure_reason();
        let Settlement { how, last } = settlement;
        match self.output.settle(&self.pending, last, how.clone(), read_up_to).await {
            Ok(settled) => self.on_settled(&how, settled, reason),
            Err(error @ (StoreError::Refused(_) | StoreError::Corrupt { .. })) => {
                tracing::error!(%error, "settle refused by the store; the task fails");
                self.settle_refused(read_up_to).await;
            }
            Err(error) => self.release(&error).await,
        }
    }

    /// Fails a task whose output the store refuses.
    async fn settle_refused(&self, read_up_to: Seq) {
        let failure = ExecutorFailure::fatal(OUTPUT_NOT_STORED);
        let exit = ExecutorExit::Returned(Ok(Outcome::Failed(failure)));
        let context = AttemptContext { refusal: None, stop_reason: None, ..self.attempt_context() };
        let Some(settlement) = decide(exit, &context) else { return };
        let reason = settlement.failure_reason();
        let Settlement { how, mut last } = settlement;
        if self.claimed.state == TaskState::Submitted && !self.output.has_written() {
            // The opening status was refused along with the rest.
            last.insert(0, EntryBody::Status(StatusChange::to(TaskState::Working)));
        }
        match self.output.settle(&self.pending, last, how.clone(), read_up_to).await {
            Ok(settled) => self.on_settled(&how, settled, reason),
            Err(error) => self.release(&error).await,
        }
    }

    /// Releases a run that cannot be settled.
    async fn release(&self, error: &StoreError) {
        tracing::error!(%error, "settle failed; releasing the run");
        RunClaim::new(&self.claimed).release(self.env, &self.signals).await;
    }

    fn on_settled(&self, how: &SettleAs, settled: Settled, reason: Option<FailureReason>) {
        let reason = reason.unwrap_or_default();
        // `Already`: the response to an earlier try was lost.
        match (settled, how) {
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::End(state)) => {
                if let Some(because) = reason.because {
                    tracing::error!(%because, cause = reason.cause, "task failed");
                } else {
                    tracing::info!(state = %state.state(), "task ended");
                }
                self.wake_for_freed_limit();
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Park(state)) => {
                tracing::info!(state = %state.state(), "task parked");
                self.wake_for_freed_limit();
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Retry(delay)) => {
                let retry_in_ms = delay.as_millis();
                tracing::warn!(cause = reason.cause, retry_in_ms, "attempt failed");
                self.schedule_retry(*delay);
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Release)
            | (Settled::HandedBack { .. }, _) => {
                tracing::debug!("run released");
                self.wake_worker();
            }
            (Settled::Fenced, _) => tracing::warn!("settle fenced: lease lost"),
            (Settled::Ended(state), _) => tracing::info!(%state, "task had already ended"),
        }
    }

    /// Sets the reaper's alarm for the next attempt: a run becomes due through a reaper.
    fn schedule_retry(&self, delay: Duration) {
        if delay.is_zero() {
            self.wake_worker();
        } else {
            self.env.alarm.ring_in(delay);
            self.wake_for_freed_limit();
        }
    }

    /// Wakes another worker when this run has freed a limit of its agent and this worker drains.
    /// Otherwise this worker's claim loop notices by itself.
    fn wake_for_freed_limit(&self) {
        let limited = !self.agent.descriptor.agent.limits.running.is_none();
        if limited && self.env.draining.is_cancelled() {
            self.wake_worker();
        }
    }

    fn wake_worker(&self) {
        let trace = self.claimed.trace.as_deref();
        self.env.waker.wake(WakeHint {
            agent: self.claimed.agent.clone(),
            task: self.claimed.key,
            trace: trace.and_then(|text| TraceContext::parse(text, None).ok()),
        });
    }
}

/// A running call of an executor; aborted on drop.
struct ExecutorCall(JoinHandle<Result<Outcome, ExecutorError>>);

impl ExecutorCall {
    async fn exit(&mut self) -> ExecutorExit {
        match (&mut self.0).await {
            Ok(result) => ExecutorExit::Returned(Outcome::from_result(result)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => ExecutorExit::Panicked(panic_message(&*panic).to_owned()),
                Err(_) => ExecutorExit::Abandoned,
            },
        }
    }
}

impl Drop for ExecutorCall {
    fn drop(&mut self) {
        self.0.abort();
    }
}
