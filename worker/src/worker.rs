//! A worker process: its parts, their start and their end.

use crate::{
    claims::Claims,
    control,
    heartbeat::Lease,
    reaper,
    run::{Agent, RunEnv},
    running::Running,
    slots::Slots,
};
use longhaul_dispatch::{Dispatch, DispatchError};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_executor::{Executor, ExecutorError, Stopped};
use longhaul_runtime::{Ids, Readiness, Shutdown, TaskSet, lifecycle};
use longhaul_store::{NewWorker, Store, StoreError};
use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::Instant};

/// How a worker is run.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// For people: host and process.
    pub name: String,
    /// Runs at a time, of all agents together; at least 1.
    pub concurrency: u32,
    /// How often an idle worker looks into the store without being woken.
    pub probe_interval: Duration,
    /// How long after its last heartbeat a worker counts as dead.
    pub lease: Duration,
    /// How long runs may go on when the worker drains.
    pub drain: Duration,
    /// How long an executor that was told to stop has to do so before it is given up.
    pub grace: Duration,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two executors have one name.
    #[error("two executors are named {0}; an agent has one executor")]
    DuplicateAgent(AgentName),
    /// There is nothing to run.
    #[error("the worker has no executor; configure an [[agent]] or give it one")]
    NoExecutor,
    /// An executor could not start.
    #[error("the executor of {agent} did not start: {cause}")]
    Executor {
        /// Its agent.
        agent: AgentName,
        /// What it said.
        cause: ExecutorError,
    },
    /// The store did not take the registration.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dispatcher is closed.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
}

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

impl Worker {
    /// Starts the executors, registers, and works until the process shuts down; then lets runs end, gives back the others,
    /// and takes itself off.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let agents = self.agents()?;
        self.start(&agents).await?;
        let source = self.dispatch.source(agents.keys().cloned().collect()).await?;
        let registered = Instant::now();
        let worker = self.register(&agents).await?;
        let running = Running::default();
        let background = TaskSet::new();
        let env = self.env(&running, &background);
        self.keep_house(&worker, registered, &running, &background);

        let runs = TaskSet::new();
        let slots = self.slots(&agents);
        let claims = Claims {
            env,
            agents: agents.clone(),
            slots,
            runs: runs.clone(),
            worker: worker.id,
            probe_interval: self.options.probe_interval,
            readiness: self.readiness.component("store"),
        };
        tracing::info!(worker = %worker.id, agents = ?agents.keys(), "worker is ready");
        claims.run(source, shutdown.draining().clone()).await;
        self.drain(&shutdown, &runs, &running).await;
        background.stop_and_wait().await;
        self.retire(worker.id).await;
        for agent in agents.values() {
            agent.executor.stop().await;
        }
        Ok(())
    }

    fn agents(&self) -> Result<BTreeMap<AgentName, Arc<Agent>>, StartError> {
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

    async fn start(&self, agents: &BTreeMap<AgentName, Arc<Agent>>) -> Result<(), StartError> {
        for (name, agent) in agents {
            let failed = |cause| StartError::Executor { agent: name.clone(), cause };
            agent.executor.start().await.map_err(failed)?;
        }
        Ok(())
    }

    async fn register(
        &self,
        agents: &BTreeMap<AgentName, Arc<Agent>>,
    ) -> Result<NewWorker, StartError> {
        let descriptors: Vec<_> =
            agents.values().map(|agent| agent.descriptor.agent.clone()).collect();
        let worker = NewWorker {
            id: WorkerId::new(self.ids.token()),
            name: self.options.name.clone(),
            agents: descriptors.clone(),
            lease: self.options.lease,
        };
        self.store.register_agents(descriptors).await?;
        self.store.register_worker(worker.clone()).await?;
        Ok(worker)
    }

    fn env(&self, running: &Running, background: &TaskSet) -> Arc<RunEnv> {
        Arc::new(RunEnv {
            store: Arc::clone(&self.store),
            waker: self.dispatch.waker(),
            ids: Arc::clone(&self.ids),
            running: running.clone(),
            executors: self.executor_runtime.clone(),
            background: background.clone(),
            grace: self.options.grace,
        })
    }

    /// Starts what goes on besides the runs, until `background` is stopped.
    fn keep_house(
        &self,
        worker: &NewWorker,
        registered: Instant,
        running: &Running,
        background: &TaskSet,
    ) {
        let store = || Arc::clone(&self.store);
        let house = |name, work: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = background.stopping().clone();
            background.spawn(name, async move {
                stop.run_until_cancelled(work).await;
            });
        };
        let lease = Lease {
            store: store(),
            waker: self.dispatch.waker(),
            worker: worker.clone(),
            running: running.clone(),
        };
        house("heartbeat", Box::pin(lease.keep(registered)));
        house("control", Box::pin(control::listen(store(), running.clone())));
        let interval = self.options.lease / 5;
        house("reaper", Box::pin(reaper::reap(store(), self.dispatch.waker(), interval)));
    }

    fn slots(&self, agents: &BTreeMap<AgentName, Arc<Agent>>) -> Slots {
        let total = self.options.concurrency.max(1);
        let of = |agent: &Agent| agent.descriptor.concurrency.unwrap_or(total);
        Slots::new(total, agents.iter().map(|(name, agent)| (name.clone(), of(agent))))
    }

    /// Lets runs end; tells those that take too long to stop, so that they are given back.
    async fn drain(&self, shutdown: &Shutdown, runs: &TaskSet, running: &Running) {
        tracing::info!(runs = runs.len(), "draining");
        runs.stop();
        match shutdown.wait(self.options.drain, runs.wait()).await {
            lifecycle::Stopped::Drained => {}
            lifecycle::Stopped::Deadline | lifecycle::Stopped::Forced => {
                tracing::warn!(runs = runs.len(), "giving back what still runs");
                running.stop_all(Stopped::Draining);
                let bound = self.options.grace + Duration::from_secs(2);
                if tokio::time::timeout(bound, runs.wait()).await.is_err() {
                    tracing::error!("some runs could not be given back; their lease will run out");
                }
            }
        }
    }

    async fn retire(&self, worker: WorkerId) {
        match self.store.retire_worker(worker).await {
            Ok(reaped) => reaper::offer(&*self.dispatch.waker(), reaped),
            Err(error) => {
                tracing::warn!(%error, "cannot take this worker off; its lease will run out");
            }
        }
    }
}
