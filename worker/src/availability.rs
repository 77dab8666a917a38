//! Starts the executors, and keeps work from those that cannot do it.
//!
//! An agent whose executor has not started, or has said that it cannot work now, is paused: nothing is claimed for it. Its
//! tasks wait in the store or run on other workers, and no attempt is counted. The start is repeated with a growing pause.
//! All of this is in memory: a worker that dies leaves nothing of it behind.

use crate::slots::Slots;
use longhaul_domain::AgentName;
use longhaul_executor::Executor;
use longhaul_runtime::{Backoff, TaskSet, readiness, spawn::panic_message};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// The pause before a start is repeated.
const RESTART: Backoff = Backoff {
    initial: std::time::Duration::from_millis(500),
    factor: 2.0,
    max: std::time::Duration::from_secs(30),
    jitter: false,
};

/// An agent that did not start, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStart {
    /// The agent.
    pub agent: AgentName,
    /// What its executor said.
    pub cause: String,
}

/// The availability of one agent on this worker.
pub struct Availability {
    agent: AgentName,
    slots: Slots,
    withdrawn: Notify,
    /// Failures since a run last ended by itself.
    failures: AtomicU32,
}

impl Availability {
    /// An agent that has not started: it is paused.
    pub fn new(agent: AgentName, slots: Slots) -> Self {
        slots.pause(&agent);
        Self { agent, slots, withdrawn: Notify::new(), failures: AtomicU32::new(0) }
    }

    /// Notes that the executor did a run.
    pub fn worked(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Claims nothing more until the executor has started again.
    pub fn withdraw(&self) {
        self.slots.pause(&self.agent);
        self.withdrawn.notify_one();
    }

    fn failed(&self) -> std::time::Duration {
        RESTART.ceiling(self.failures.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Clone)]
enum State {
    Starting,
    Up,
    Down(String),
}

/// Starts the agents of a worker and reports which of them can work.
pub struct Starter {
    board: Mutex<Board>,
    readiness: readiness::ComponentHandle,
    runtime: Handle,
}

struct Board {
    states: BTreeMap<AgentName, State>,
    /// Told once every agent has started or failed to.
    settled: Option<oneshot::Sender<Vec<FailedStart>>>,
}

impl Starter {
    /// Reports through `readiness`, and once to `settled`, when every agent has started or failed for the first time.
    pub fn new(
        agents: impl Iterator<Item = AgentName>,
        readiness: readiness::ComponentHandle,
        runtime: Handle,
        settled: oneshot::Sender<Vec<FailedStart>>,
    ) -> Arc<Self> {
        let states = agents.map(|agent| (agent, State::Starting)).collect();
        let board = Mutex::new(Board { states, settled: Some(settled) });
        Arc::new(Self { board, readiness, runtime })
    }

    /// Keeps an executor started until `tasks` is stopped.
    pub fn keep(
        self: &Arc<Self>,
        availability: Arc<Availability>,
        executor: Arc<dyn Executor>,
        tasks: &TaskSet,
    ) {
        let (starter, stop) = (Arc::clone(self), tasks.stopping().clone());
        tasks.spawn("start agent", async move {
            stop.run_until_cancelled(starter.run(&availability, &executor)).await;
        });
    }

    async fn run(&self, availability: &Availability, executor: &Arc<dyn Executor>) {
        let agent = &availability.agent;
        loop {
            match self.start(Arc::clone(executor)).await {
                Ok(()) => {
                    // Before runs are claimed, so that a withdrawal is not overwritten by this.
                    self.note(agent, State::Up);
                    availability.slots.resume(agent);
                    tracing::debug!(%agent, "agent started");
                    availability.withdrawn.notified().await;
                    // Once more: a withdrawal during the start was undone by the line above.
                    availability.slots.pause(agent);
                    let pause = availability.failed();
                    self.note(agent, State::Down("cannot work now".to_owned()));
                    let retry_in_ms = pause.as_millis();
                    tracing::warn!(%agent, retry_in_ms, "agent paused: its executor cannot work now");
                    tokio::time::sleep(pause).await;
                    // Runs that were under way may have withdrawn it again meanwhile.
                    let _ = futures::FutureExt::now_or_never(availability.withdrawn.notified());
                }
                Err(cause) => {
                    let pause = availability.failed();
                    let retry_in_ms = pause.as_millis();
                    tracing::warn!(%agent, cause, retry_in_ms, "agent did not start; its tasks wait");
                    self.note(agent, State::Down(cause));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Starts an executor where executors run, so that one that blocks holds up others of its kind only.
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

    fn note(&self, agent: &AgentName, state: State) {
        let mut board = self.lock();
        board.states.insert(agent.clone(), state);
        if board.states.values().any(|state| matches!(state, State::Starting)) {
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
        if let Some(settled) = board.settled.take() {
            // Nobody may be waiting for it.
            let _ = settled.send(down);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn down(&self) -> Vec<FailedStart> {
        let failed = |(agent, state): (&AgentName, &State)| match state {
            State::Down(cause) => Some(FailedStart { agent: agent.clone(), cause: cause.clone() }),
            State::Starting | State::Up => None,
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
