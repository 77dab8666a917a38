//! A worker process: its parts, their start and their end.

mod end;
mod house;

use crate::{
    availability::{Availability, FailedStart, Starter},
    claims::Claims,
    options::{StartError, WorkerOptions},
    reaper::Alarm,
    run::{Agent, HistoryReads, RunEnv},
    running::Running,
    slots::Slots,
};
use house::House;
use longhaul_dispatch::{Dispatch, WakeSource};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_executor::Executor;
use longhaul_runtime::{Backoff, IdSource, Readiness, Shutdown, TaskSet};
use longhaul_store::{NewWorker, Store, StoreError};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

/// A worker.
pub struct Worker {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Wake-ups.
    pub dispatch: Arc<dyn Dispatch>,
    /// What it runs.
    pub executors: Vec<Arc<dyn Executor>>,
    /// Where executors run: a runtime of their own.
    pub executor_runtime: Handle,
    /// Ids and randomness.
    pub ids: Arc<dyn IdSource>,
    /// Where it reports its health.
    pub readiness: Readiness,
    /// How it is run.
    pub options: WorkerOptions,
}

type Agents = BTreeMap<AgentName, Arc<Agent>>;

/// A worker that is known to the store.
struct Opened {
    worker: NewWorker,
    /// The moment before it was.
    at: Instant,
    source: Box<dyn WakeSource>,
}

impl Worker {
    /// Starts the executors, registers, and works until the process shuts down; then lets runs end, gives back the others,
    /// and takes itself off. A store that does not answer holds up neither of the two ends of a shutdown.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let (settled, _) = oneshot::channel();
        self.run_with_start_report(shutdown, settled).await
    }

    /// The same, and tells once every agent has started or failed to which ones failed. Those are tried again, and their
    /// tasks wait.
    pub async fn run_with_start_report(
        self,
        shutdown: Shutdown,
        settled: oneshot::Sender<Vec<FailedStart>>,
    ) -> Result<(), StartError> {
        let descriptors: Vec<_> = self.executors.iter().map(|one| one.descriptor()).collect();
        let slots = Slots::new(self.options.concurrency.max(1), &descriptors);
        let agents = self.agents(&slots)?;
        let readiness = self.readiness.component("agents");
        let starts = TaskSet::new();
        let names = agents.keys().cloned();
        let starter = Starter::new(names, readiness, self.executor_runtime.clone(), settled);
        for agent in agents.values() {
            let availability = Arc::clone(&agent.availability);
            starter.keep(availability, Arc::clone(&agent.executor), &starts);
        }
        let draining = shutdown.draining();
        let opened = draining.run_until_cancelled(self.open(&agents)).await;
        let outcome = match opened {
            Some(Ok(opened)) => {
                self.work(opened, &agents, slots, &shutdown).await;
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        starts.stop_and_wait().await;
        self.stop(&agents).await;
        outcome
    }

    fn agents(&self, slots: &Slots) -> Result<Agents, StartError> {
        let mut agents = BTreeMap::new();
        for executor in &self.executors {
            let descriptor = executor.descriptor();
            let name = descriptor.agent.name.clone();
            let availability = Arc::new(Availability::new(name.clone(), slots.clone()));
            let agent = Agent { executor: Arc::clone(executor), descriptor, availability };
            if agents.insert(name.clone(), Arc::new(agent)).is_some() {
                return Err(StartError::DuplicateAgent(name));
            }
        }
        if agents.is_empty() { Err(StartError::NoExecutor) } else { Ok(agents) }
    }

    async fn open(&self, agents: &Agents) -> Result<Opened, StartError> {
        let source = self.dispatch.source(agents.keys().cloned().collect()).await?;
        let descriptors: Vec<_> =
            agents.values().map(|agent| agent.descriptor.agent.clone()).collect();
        let worker = NewWorker {
            id: WorkerId::new(self.ids.token()),
            name: self.options.name.clone(),
            agents: descriptors.clone(),
            lease: self.options.lease,
        };
        patiently(|| self.store.register_agents(descriptors.clone())).await?;
        let at = patiently(|| self.store.register_worker(worker.clone())).await?;
        // A worker whose agents are all paused claims nothing, and would not find out by that.
        self.readiness.component("store").set_ok();
        Ok(Opened { worker, at, source })
    }

    /// Works until the shutdown, and gives everything back.
    async fn work(&self, opened: Opened, agents: &Agents, slots: Slots, shutdown: &Shutdown) {
        let Opened { worker, at, source } = opened;
        let id = worker.id;
        let env = self.env(shutdown);
        let background = TaskSet::new();
        House::of(self, worker, &env).keep(at, &background);
        let runs = TaskSet::new();
        let claims = self.claims(id, Arc::clone(&env), agents, slots, runs.clone());
        tracing::info!(worker = %id, agents = ?agents.keys(), "worker is ready");
        claims.run(source, shutdown.draining().clone()).await;
        self.drain(shutdown, &runs, &env.running).await;
        background.stop_and_wait().await;
        self.retire(id, &env.running).await;
    }

    fn env(&self, shutdown: &Shutdown) -> Arc<RunEnv> {
        Arc::new(RunEnv {
            store: Arc::clone(&self.store),
            waker: self.dispatch.waker(),
            ids: Arc::clone(&self.ids),
            running: Running::default(),
            // Others must get a connection, and a slot that waits for its turn blocks nobody else's slot.
            history_reads: HistoryReads::new(self.options.concurrency.div_ceil(4) as usize),
            alarm: Alarm::default(),
            executors: self.executor_runtime.clone(),
            grace: self.options.grace,
            lost_grace: self.options.grace.min(self.options.lease / 3),
            draining: shutdown.draining().clone(),
            stop_now: shutdown.stop_now().clone(),
        })
    }

    fn claims(
        &self,
        worker: WorkerId,
        env: Arc<RunEnv>,
        agents: &Agents,
        slots: Slots,
        runs: TaskSet,
    ) -> Claims {
        Claims {
            env,
            agents: agents.clone(),
            slots,
            runs,
            worker,
            probe_interval: self.options.probe_interval,
            readiness: self.readiness.component("store"),
        }
    }
}

/// Makes a call until the store answers, and gives the moment before the call that it answered. The database was there when
/// the process connected; whatever has become of it since, it will be back.
async fn patiently<F>(call: impl Fn() -> F) -> Result<Instant, StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut failures = 0;
    loop {
        let at = Instant::now();
        match call().await {
            Ok(()) => return Ok(at),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "cannot register yet; trying again");
                tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
                failures = failures.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
}
