//! One run: from the claim to the settlement.
//!
//! The executor's call runs on the executors' runtime; what it emits is written meanwhile; when it returns, panics, takes
//! too long or is told to stop, the rest is written together with the end. When the process dies at any point, the lease
//! runs out and the run is offered again.

mod call;
mod ending;
mod history;
mod limits;

pub use history::{HistoryReads, MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES};

use crate::{
    availability::Availability,
    output::{Output, Pending},
    reaper::Alarm,
    release::release,
    running::Running,
    settlement::Ended,
    signals::RunSignals,
    slots::Slot,
    task_io::RunIo,
    terms::terms,
    why::Why,
};
use futures::FutureExt;
use history::{History, NotRead};
use longhaul_dispatch::Waker;
use longhaul_domain::{EntryBody, Fence, TaskKey, TaskState, log::StatusChange};
use longhaul_executor::{
    Assignment, Executor, ExecutorDescriptor, Outcome, OutputStopped, RunPolicy, TaskContext,
};
use longhaul_runtime::{IdSource, TraceContext, spawn::panic_message};
use longhaul_store::{ClaimedRun, Store, StoreError};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What every run of a worker has in common.
pub struct RunEnv {
    pub store: Arc<dyn Store>,
    pub waker: Arc<dyn Waker>,
    pub ids: Arc<dyn IdSource>,
    pub running: Running,
    /// Bounds how many runs read their history at once.
    pub history_reads: HistoryReads,
    /// Rung for retries, which become due by a look of a reaper.
    pub alarm: Alarm,
    /// Where executors run.
    pub executors: Handle,
    /// How long an executor that was told to stop has to do so.
    pub grace: Duration,
    /// The same for one whose worker has lost its lease: it must be over before others are at the task.
    pub lost_grace: Duration,
    /// Cancelled when the worker claims nothing more.
    pub draining: CancellationToken,
    /// Cancelled when there is no time for grace.
    pub stop_now: CancellationToken,
}

/// An executor with what it said about itself.
pub struct Agent {
    pub executor: Arc<dyn Executor>,
    pub descriptor: ExecutorDescriptor,
    pub availability: Arc<Availability>,
}

/// Does one run, from claim to settlement, and frees its slot.
pub async fn run(env: Arc<RunEnv>, agent: Arc<Agent>, claimed: ClaimedRun, slot: Slot) {
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
    let (signals, held) = (Arc::new(RunSignals::new()), Held::of(&claimed));
    let run = Run::new(&env, &agent, claimed, Arc::clone(&signals));
    if let Err(panic) = AssertUnwindSafe(run.finish()).catch_unwind().instrument(span).await {
        // A fault of ours must not keep the task from others.
        tracing::error!(task_id = %held.key.task, panic = panic_message(&*panic), "the run broke");
        held.give_back(&env, &signals).await;
    }
    // Whatever the executor left behind gets no answer any more.
    signals.stop(Why::LeaseLost);
    drop(slot);
}

/// What is needed to give a run back.
#[derive(Clone, Copy)]
struct Held {
    key: TaskKey,
    fence: Fence,
    attempt: i32,
}

impl Held {
    const fn of(claimed: &ClaimedRun) -> Self {
        Self { key: claimed.key, fence: claimed.fence, attempt: claimed.attempt }
    }

    /// Offers the run to others, as long as it is this worker's to offer. Should that fail, the comparison with the
    /// store's books does it.
    async fn give_back(self, env: &RunEnv, signals: &RunSignals) {
        let settle = release(self.key, self.fence, self.attempt);
        if let Some(Err(error)) = signals.unless_lost(env.store.settle(settle)).await {
            tracing::error!(%error, task_id = %self.key.task, "the run cannot be given back yet");
        }
    }
}

struct Run<'a> {
    env: &'a RunEnv,
    agent: &'a Agent,
    claimed: ClaimedRun,
    terms: RunPolicy,
    signals: Arc<RunSignals>,
    output: Arc<Output>,
    pending: Pending,
}

impl<'a> Run<'a> {
    fn new(
        env: &'a RunEnv,
        agent: &'a Agent,
        claimed: ClaimedRun,
        signals: Arc<RunSignals>,
    ) -> Self {
        if claimed.cancel {
            signals.stop(Why::Canceled);
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
        let terms = agent.descriptor.policy;
        Self { env, agent, claimed, terms, signals, output, pending: Pending::default() }
    }

    async fn finish(mut self) {
        let key = self.claimed.key;
        let signals = Arc::clone(&self.signals);
        let _registered = self.env.running.register(key, self.claimed.fence, signals);
        tracing::debug!(waited_ms = self.claimed.waited.as_millis(), "run begins");
        match self.read_history().await {
            Ok(history) => {
                let (first, last) = (&history.first_metadata, &history.last_metadata);
                self.terms = terms(self.terms, first.as_ref(), last.as_ref());
                let ctx = self.context(history);
                let ended = self.execute(ctx.clone()).await;
                self.output.finish_write(&self.pending).await;
                // Before the run is given back, or this worker would claim it again.
                match &ended {
                    Ended::Returned(Err(OutputStopped::Unavailable)) => {
                        self.agent.availability.withdraw();
                    }
                    Ended::Returned(Ok(_)) => self.agent.availability.worked(),
                    _ => {}
                }
                self.end(ended, ctx.read_up_to()).await;
            }
            Err(not_read) => {
                let ended = match not_read {
                    NotRead::Stopped(reason) => Err(reason),
                    NotRead::Failed(failure) => Ok(Outcome::Failed(*failure)),
                };
                self.end(Ended::Returned(ended), self.claimed.message_seq).await;
            }
        }
    }

    /// What the executor is called with. What has been said is its own from now on.
    fn context(&mut self, history: History) -> TaskContext {
        let claimed = &mut self.claimed;
        let assignment = Assignment {
            key: claimed.key,
            agent: claimed.agent.clone(),
            context: claimed.context.clone(),
            created_at: claimed.created_at,
            attempt: claimed.attempt,
            max_attempts: i32::try_from(self.terms.max_attempts).unwrap_or(i32::MAX),
            turn: claimed.turn,
            deadline: claimed.deadline,
            history: history.items,
            earlier_before: history.earlier_before,
            request_metadata: history.request_metadata,
            accepted_output_modes: history.accepted_output_modes,
            state_before: claimed.state,
            has_checkpoints: claimed.has_checkpoints,
        };
        let io = RunIo {
            store: Arc::clone(&self.env.store),
            key: claimed.key,
            context: claimed.context.clone(),
            signals: Arc::clone(&self.signals),
            output: Arc::clone(&self.output),
            scanned: AtomicI64::new(assignment.read_up_to().0),
        };
        let ids = Arc::clone(&self.env.ids);
        let ids = Arc::new(move || ids.uuid_v7());
        TaskContext::new(assignment, Arc::new(io), self.signals.stop.clone(), ids)
    }

    /// Offers a run whose end cannot be written to others.
    async fn give_back(&self, error: &StoreError) {
        tracing::error!(%error, "the end of the run cannot be written; it is given back");
        Held::of(&self.claimed).give_back(self.env, &self.signals).await;
    }
}
