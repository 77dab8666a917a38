//! One run: from the claim to the settlement.
//!
//! The executor's call runs on the executors' runtime; what it emits is written meanwhile; when it returns, panics, takes
//! too long or is told to stop, the rest is written together with the end. When the process dies at any point, the lease
//! runs out and the run is offered again.

use crate::{
    output::{Output, Pending},
    running::{RunSignals, Running},
    settlement::{Ended, Facts, NOT_STORED, Settlement, decide},
    slots::Slot,
    task_io::RunIo,
};
use futures::FutureExt;
use longhaul_dispatch::{Wake, Waker};
use longhaul_domain::{
    EntryBody, Fence, Seq, TaskKey, TaskState, TerminalState, log::StatusChange,
};
use longhaul_executor::{
    Assignment, Executor, ExecutorDescriptor, Failure, Outcome, Stopped, TaskContext,
};
use longhaul_runtime::{Ids, TaskSet, TraceContext, spawn::panic_message};
use longhaul_store::{Append, Claimed, Settle, SettleAs, Settled, Store, StoreError};
use std::{
    future::pending,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};
use tokio::{runtime::Handle, task::JoinHandle};
use tracing::Instrument;

/// How long the `working` status of a run waits for company.
const OPENING_DELAY: Duration = Duration::from_millis(20);

/// A retry due later than this is left to the probing; an earlier one is woken in time.
const WAKE_AHEAD: Duration = Duration::from_secs(60);

/// What every run of a worker has in common.
pub struct RunEnv {
    pub store: Arc<dyn Store>,
    pub waker: Arc<dyn Waker>,
    pub ids: Arc<dyn Ids>,
    pub running: Running,
    /// Where executors run.
    pub executors: Handle,
    /// Where delayed wake-ups wait.
    pub background: TaskSet,
    /// How long an executor that was told to stop has to do so.
    pub grace: Duration,
}

/// An executor with what it said about itself.
pub struct Agent {
    pub executor: Arc<dyn Executor>,
    pub descriptor: ExecutorDescriptor,
}

/// Does one run, from claim to settlement, and frees its slot.
pub async fn run(env: Arc<RunEnv>, agent: Arc<Agent>, claimed: Claimed, slot: Slot) {
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
    let held = Held { key: claimed.key, fence: claimed.fence, attempt: claimed.attempt };
    let run = AssertUnwindSafe(Run::new(&env, &agent, claimed).finish());
    if let Err(panic) = run.catch_unwind().instrument(span).await {
        // A fault of ours must not keep the task from others.
        tracing::error!(task_id = %held.key.task, panic = panic_message(&*panic), "the run broke");
        give_back(&env, held).await;
    }
    drop(slot);
}

/// What is needed to give a run back.
#[derive(Clone, Copy)]
struct Held {
    key: TaskKey,
    fence: Fence,
    attempt: i32,
}

/// Offers a run to others, whatever it has written so far.
async fn give_back(env: &RunEnv, held: Held) {
    let output = Append {
        key: held.key,
        fence: held.fence,
        // Behind every operation of the run.
        op: i32::MAX,
        attempt: held.attempt,
        entries: Vec::new(),
        blobs: Vec::new(),
    };
    let settle = Settle { how: SettleAs::Release, read_up_to: Seq::START, output };
    if let Err(error) = env.store.settle(settle).await {
        tracing::error!(%error, task_id = %held.key.task, "the run stays here until this worker's lease is over");
    }
}

struct Run<'a> {
    env: &'a RunEnv,
    agent: &'a Agent,
    claimed: Claimed,
    signals: Arc<RunSignals>,
    output: Arc<Output>,
    pending: Pending,
}

impl<'a> Run<'a> {
    fn new(env: &'a RunEnv, agent: &'a Agent, claimed: Claimed) -> Self {
        let signals = Arc::new(RunSignals::new());
        if claimed.cancel {
            signals.stop(Stopped::Canceled);
        }
        let opening = (claimed.state == TaskState::Submitted)
            .then(|| EntryBody::Status(StatusChange::to(TaskState::Working)));
        let output = Arc::new(Output::new(
            Arc::clone(&env.store),
            claimed.key,
            claimed.fence,
            claimed.attempt,
            Arc::clone(&signals),
            opening,
        ));
        Self { env, agent, claimed, signals, output, pending: Pending::default() }
    }

    async fn finish(self) {
        let key = self.claimed.key;
        let signals = Arc::clone(&self.signals);
        let _registered = self.env.running.register(key, self.claimed.fence, signals);
        tracing::debug!(waited_ms = self.claimed.waited.as_millis(), "run begins");
        let ctx = self.context();
        let ended = self.execute(ctx.clone()).await;
        self.output.finish_write(&self.pending).await;
        let read_up_to = ctx.read_up_to();
        if let Some(settlement) = decide(ended, &self.facts()) {
            self.settle(settlement, read_up_to).await;
        } else {
            tracing::warn!("the run was lost to another worker; nothing more is written");
        }
        // Whatever the executor left behind gets no answer any more.
        self.signals.stop(Stopped::LeaseLost);
    }

    fn context(&self) -> TaskContext {
        let claimed = &self.claimed;
        let assignment = Assignment {
            key: claimed.key,
            agent: claimed.agent.clone(),
            context: claimed.context.clone(),
            created_at: claimed.created_at,
            attempt: claimed.attempt,
            max_attempts: i32::try_from(self.agent.descriptor.policy.max_attempts)
                .unwrap_or(i32::MAX),
            turn: claimed.turn,
            deadline: None,
            history: claimed.history.clone(),
            request_metadata: claimed.request_metadata.clone(),
            state_before: claimed.state,
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

    /// Calls the executor and writes what it emits, until it ends or is given up.
    async fn execute(&self, ctx: TaskContext) -> Ended {
        let executor = Arc::clone(&self.agent.executor);
        let call = async move { executor.execute(ctx).await }.in_current_span();
        let mut job = Job(self.env.executors.spawn(call));
        let writing = async {
            self.output.keep_writing(&self.pending).await;
            pending::<()>().await;
        };
        let opening = async {
            tokio::time::sleep(OPENING_DELAY).await;
            self.output.hurry();
            pending::<()>().await;
        };
        tokio::select! {
            ended = job.ended() => ended,
            () = self.overrun() => {
                tracing::warn!("the executor did not stop when told to; it is given up");
                Ended::Abandoned
            }
            () = writing => Ended::Abandoned,
            () = opening => Ended::Abandoned,
        }
    }

    /// Ends when the executor was told to stop and did not in time.
    async fn overrun(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.agent.descriptor.policy.timeout) => {
                self.signals.stop(Stopped::TimedOut);
            }
            _ = self.signals.wait_stopped() => {}
        }
        tokio::time::sleep(self.env.grace).await;
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            task: self.claimed.key.task,
            context: &self.claimed.context,
            attempt: self.claimed.attempt,
            policy: self.agent.descriptor.policy,
            direct: self.agent.descriptor.agent.direct,
            stopped: self.signals.stopped(),
            refused: self.output.refused(),
            id: self.env.ids.uuid_v7(),
            #[expect(clippy::cast_precision_loss, reason = "jitter needs no precision")]
            random: (self.env.ids.random_u128() >> 96) as f64 / f64::from(u32::MAX),
        }
    }

    async fn settle(&self, settlement: Settlement, read_up_to: Seq) {
        let Settlement { how, last } = settlement;
        match self.output.settle(&self.pending, last, how.clone(), read_up_to).await {
            Ok(settled) => self.settled(&how, settled),
            Err(error @ (StoreError::Refused(_) | StoreError::Corrupt { .. })) => {
                tracing::error!(%error, "the store refused the end of the run; the task fails");
                self.fail(read_up_to).await;
            }
            Err(error) => self.give_back(&error).await,
        }
    }

    /// Ends a task whose output the store will not take.
    async fn fail(&self, read_up_to: Seq) {
        let ended = Ended::Returned(Ok(Outcome::Failed(Failure::fatal(NOT_STORED))));
        let facts = Facts { refused: None, stopped: None, ..self.facts() };
        let Some(Settlement { how, mut last }) = decide(ended, &facts) else { return };
        if self.claimed.state == TaskState::Submitted && !self.output.has_written() {
            last.insert(0, EntryBody::Status(StatusChange::to(TaskState::Working)));
        }
        match self.output.settle(&self.pending, last, how.clone(), read_up_to).await {
            Ok(settled) => self.settled(&how, settled),
            Err(error) => self.give_back(&error).await,
        }
    }

    /// Offers a run whose end cannot be written to others, as long as it is this worker's to offer.
    async fn give_back(&self, error: &StoreError) {
        tracing::error!(%error, "the end of the run cannot be written; it is given back");
        if self.signals.stopped() != Some(Stopped::LeaseLost) {
            let Claimed { key, fence, attempt, .. } = self.claimed;
            give_back(self.env, Held { key, fence, attempt }).await;
        }
    }

    fn settled(&self, how: &SettleAs, settled: Settled) {
        match (settled, how) {
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::End(state)) => {
                self.log_end(*state);
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Park(state)) => {
                tracing::info!(state = %state.state(), "parked");
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Retry(delay)) => {
                tracing::warn!(delay_ms = delay.as_millis(), "the attempt failed; another follows");
                self.wake_after(*delay);
            }
            (Settled::Now { .. } | Settled::Already { .. }, SettleAs::Release)
            | (Settled::HandedBack { .. }, _) => {
                tracing::debug!("given back");
                self.wake_after(Duration::ZERO);
            }
            (Settled::Fenced, _) => tracing::warn!("the run belongs to another worker"),
            (Settled::Ended(state), _) => tracing::info!(%state, "the task had ended otherwise"),
        }
    }

    fn log_end(&self, state: TerminalState) {
        tracing::info!(state = %state.state(), attempt = self.claimed.attempt, "ended");
    }

    /// Passes the run on to whoever is free, now or later.
    fn wake_after(&self, delay: Duration) {
        let wake = Wake {
            agent: self.claimed.agent.clone(),
            task: self.claimed.key,
            trace: self.claimed.trace.as_deref().and_then(|t| TraceContext::parse(t, None).ok()),
        };
        let waker = Arc::clone(&self.env.waker);
        if delay.is_zero() {
            waker.wake(wake);
        } else if delay <= WAKE_AHEAD {
            let stop = self.env.background.stopping().clone();
            self.env.background.spawn("wake-later", async move {
                // At the end of the process the hint goes out early rather than never.
                stop.run_until_cancelled(tokio::time::sleep(delay)).await;
                waker.wake(wake);
            });
        }
    }
}

/// The call of an executor; given up when it is dropped.
struct Job(JoinHandle<Result<Outcome, longhaul_executor::ExecutorError>>);

impl Job {
    async fn ended(&mut self) -> Ended {
        match (&mut self.0).await {
            Ok(result) => Ended::Returned(Outcome::of(result)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Ended::Panicked(panic_message(&*panic).to_owned()),
                Err(_) => Ended::Abandoned,
            },
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.0.abort();
    }
}
