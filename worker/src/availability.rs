//! Starts executors, and pauses the agents of those that are unavailable.
//!
//! An agent whose executor has not started, or reported itself unavailable, is paused: nothing is
//! claimed for it. Its tasks wait in the store or run on other workers, and no attempt is counted.
//! The start is retried with exponential backoff. All of this is in memory and ends with the
//! process.

use crate::slots::Slots;
use futures::FutureExt;
use longhaul_domain::AgentName;
use longhaul_executor::Executor;
use longhaul_runtime::{Backoff, TaskSet, readiness::ComponentHandle, spawn::panic_message};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// Backoff between starts of an executor.
const RESTART_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(500),
    factor: 2.0,
    max: Duration::from_secs(30),
    jitter: false,
};

/// An agent that did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStart {
    /// The agent.
    pub agent: AgentName,
    /// The error of its executor.
    pub cause: String,
}

/// The availability of one agent on this worker.
pub struct AgentAvailability {
    agent: AgentName,
    slots: Slots,
    became_unavailable: Notify,
    /// Failures since the last run in which the executor returned an outcome.
    failures: AtomicU32,
}

impl AgentAvailability {
    /// The availability of an agent that has not started: it is paused.
    pub fn new(agent: AgentName, slots: Slots) -> Self {
        slots.pause(&agent);
        Self { agent, slots, became_unavailable: Notify::new(), failures: AtomicU32::new(0) }
    }

    /// Records a run in which the executor returned an outcome: resets the backoff.
    pub fn record_success(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Pauses the agent until its executor has started again.
    pub fn mark_unavailable(&self) {
        self.slots.pause(&self.agent);
        self.became_unavailable.notify_one();
    }

    fn next_backoff(&self) -> Duration {
        RESTART_BACKOFF.ceiling(self.failures.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Clone)]
enum StartState {
    Starting,
    Up,
    Down(String),
}

/// Starts the agents of a worker and reports which of them can work.
pub struct AgentStarter {
    board: Mutex<StartBoard>,
    readiness: ComponentHandle,
    runtime: Handle,
}

struct StartBoard {
    states: BTreeMap<AgentName, StartState>,
    /// Receives the failed starts once every agent has started or failed.
    start_report: Option<oneshot::Sender<Vec<FailedStart>>>,
}

impl AgentStarter {
    /// Reports through `readiness`, and once to `start_report`, when every agent has started or
    /// failed for the first time.
    pub fn new(
        agents: impl Iterator<Item = AgentName>,
        readiness: ComponentHandle,
        runtime: Handle,
        start_report: oneshot::Sender<Vec<FailedStart>>,
    ) -> Arc<Self> {
        let states = agents.map(|agent| (agent, StartState::Starting)).collect();
        let board = Mutex::new(StartBoard { states, start_report: Some(start_report) });
        Arc::new(Self { board, readiness, runtime })
    }

    /// Keeps an executor started until `tasks` is stopped.
    pub fn spawn(
        self: &Arc<Self>,
        availability: Arc<AgentAvailability>,
        executor: Arc<dyn Executor>,
        tasks: &TaskSet,
    ) {
        let (starter, stop) = (Arc::clone(self), tasks.stopping().clone());
        tasks.spawn("start agent", async move {
            stop.run_until_cancelled(starter.run(&availability, &executor)).await;
        });
    }

    async fn run(&self, availability: &AgentAvailability, executor: &Arc<dyn Executor>) {
        let agent = &availability.agent;
        loop {
            match self.start(Arc::clone(executor)).await {
                Ok(()) => {
                    // Noted before runs are claimed: one may report the executor unavailable at
                    // once.
                    self.note(agent, StartState::Up);
                    availability.slots.resume(agent);
                    tracing::debug!(%agent, "agent started");
                    availability.became_unavailable.notified().await;
                    // Pause again: a report from an old run during the start was undone by
                    // `resume`.
                    availability.slots.pause(agent);
                    let pause = availability.next_backoff();
                    self.note(agent, StartState::Down("cannot work now".to_owned()));
                    let retry_in_ms = pause.as_millis();
                    tracing::warn!(%agent, retry_in_ms, "agent paused: executor unavailable");
                    tokio::time::sleep(pause).await;
                    // Drop reports that active runs made in the meantime: they concern the old
                    // start.
                    let _ = availability.became_unavailable.notified().now_or_never();
                }
                Err(cause) => {
                    let pause = availability.next_backoff();
                    let retry_in_ms = pause.as_millis();
                    tracing::warn!(%agent, cause, retry_in_ms, "agent start failed; tasks wait");
                    self.note(agent, StartState::Down(cause));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Starts an executor on the executors' runtime, so that one that blocks delays executors only.
    async fn start(&self, executor: Arc<dyn Executor>) -> Result<(), String> {
        let mut start = AbortOnDrop(self.runtime.spawn(async move { executor.start().await }));
        match (&mut start.0).await {
            Ok(started) => started.map_err(|error| error.cause()),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Err(format!("the executor panicked: {}", panic_message(&*panic))),
                Err(_) => Err("the start was aborted".to_owned()),
            },
        }
    }

    fn note(&self, agent: &AgentName, state: StartState) {
        let mut board = self.lock();
        board.states.insert(agent.clone(), state);
        if board.states.values().any(|state| matches!(state, StartState::Starting)) {
            return;
        }
        let down = board.down();
        let names: Vec<&str> = down.iter().map(|failed| failed.agent.as_str()).collect();
        let names = names.join(", ");
        match down.len() {
            0 => self.readiness.set_ok(),
            n if n < board.states.len() => {
                self.readiness.set_degraded(format!("not started: {names}"));
            }
            _ => self.readiness.set_failed(format!("no agent has started: {names}")),
        }
        if let Some(start_report) = board.start_report.take() {
            // The receiver may be gone.
            let _ = start_report.send(down);
        }
    }

    fn lock(&self) -> MutexGuard<'_, StartBoard> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StartBoard {
    fn down(&self) -> Vec<FailedStart> {
        let failed = |(agent, state): (&AgentName, &StartState)| match state {
            StartState::Down(cause) => {
                Some(FailedStart { agent: agent.clone(), cause: cause.clone() })
            }
            StartState::Starting | StartState::Up => None,
        };
        self.states.iter().filter_map(failed).collect()
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
