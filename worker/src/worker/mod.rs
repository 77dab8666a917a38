//! A worker process: its parts, their start and their end.

mod end;
mod house;

use crate::{
    claims::Claims,
    options::{StartError, WorkerOptions},
    reaper::Alarm,
    run::{Agent, RunEnv},
    running::Running,
    slots::Slots,
};
use house::House;
use longhaul_dispatch::{Dispatch, WakeSource};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_executor::Executor;
use longhaul_runtime::{Backoff, Ids, Readiness, Shutdown, SystemClock, TaskSet};
use longhaul_store::{NewWorker, Store, StoreError};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{runtime::Handle, time::Instant};

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
    pub ids: Arc<dyn Ids>,
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
        let agents = self.agents()?;
        self.start(&agents).await?;
        let draining = shutdown.draining();
        if let Some(opened) = draining.run_until_cancelled(self.open(&agents)).await {
            self.work(opened?, &agents, &shutdown).await;
        }
        self.stop(&agents).await;
        Ok(())
    }

    fn agents(&self) -> Result<Agents, StartError> {
        let mut agents = BTreeMap::new();
        for executor in &self.executors {
            let descriptor = executor.descriptor();
            let name = descriptor.agent.name.clone();
            let agent = Agent { executor: Arc::clone(executor), descriptor };
            if agents.insert(name.clone(), Arc::new(agent)).is_some() {
                return Err(StartError::DuplicateAgent(name));
            }
        }
        if agents.is_empty() { Err(StartError::NoExecutor) } else { Ok(agents) }
    }

    async fn start(&self, agents: &Agents) -> Result<(), StartError> {
        for (name, agent) in agents {
            let failed = |cause| StartError::Executor { agent: name.clone(), cause };
            agent.executor.start().await.map_err(failed)?;
        }
        Ok(())
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
        Ok(Opened { worker, at, source })
    }

    /// Works until the shutdown, and gives everything back.
    async fn work(&self, opened: Opened, agents: &Agents, shutdown: &Shutdown) {
        let Opened { worker, at, source } = opened;
        let id = worker.id;
        let env = self.env(shutdown);
        let background = TaskSet::new();
        House::of(self, worker, &env).keep(at, &background);
        let runs = TaskSet::new();
        let claims = self.claims(id, Arc::clone(&env), agents, runs.clone());
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
            clock: Arc::new(SystemClock),
            running: Running::default(),
            alarm: Alarm::default(),
            executors: self.executor_runtime.clone(),
            grace: self.options.grace,
            lost_grace: self.options.grace.min(self.options.lease / 3),
            draining: shutdown.draining().clone(),
            stop_now: shutdown.stop_now().clone(),
        })
    }

    fn claims(&self, worker: WorkerId, env: Arc<RunEnv>, agents: &Agents, runs: TaskSet) -> Claims {
        let descriptors = agents.values().map(|agent| &agent.descriptor);
        Claims {
            env,
            agents: agents.clone(),
            slots: Slots::new(self.options.concurrency.max(1), descriptors),
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
