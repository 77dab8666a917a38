//! A worker: starts its executors, registers, claims runs until the shutdown, and drains.
//!
//! When the process dies, its lease expires and other workers take over its runs.

use crate::{
    active_runs::ActiveRuns,
    availability::{AgentAvailability, AgentStarter, FailedStart},
    background::BackgroundTasks,
    claim_loop::ClaimLoop,
    drain::{deregister, drain, stop_executors},
    options::{StartError, WorkerOptions},
    reaper::ReapAlarm,
    run::{AgentExecutor, RunEnv},
    slots::Slots,
};
use longhaul_dispatch::{Dispatch, WakeSource};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_executor::Executor;
use longhaul_runtime::{Backoff, IdSource, Readiness, Shutdown, TaskSet};
use longhaul_store::{NewWorker, Store, StoreError};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
    time::Instant,
};

/// A worker.
pub struct Worker {
    /// Tasks, runs and leases.
    pub store: Arc<dyn Store>,
    /// Wake-ups.
    pub dispatch: Arc<dyn Dispatch>,
    /// The executors, one per agent.
    pub executors: Vec<Arc<dyn Executor>>,
    /// The runtime on which executors run, separate from the worker's.
    pub executor_runtime: Handle,
    /// Source of ids and randomness.
    pub ids: Arc<dyn IdSource>,
    /// Readiness of the process, to which the worker reports.
    pub readiness: Readiness,
    /// Options of the worker.
    pub options: WorkerOptions,
}

type Agents = BTreeMap<AgentName, Arc<AgentExecutor>>;

/// A worker's registration in the store.
struct Registration {
    worker: NewWorker,
    /// The instant before the registration was sent.
    sent_at: Instant,
    source: Box<dyn WakeSource>,
}

impl Worker {
    /// Runs until the process shuts down: starts the executors, registers, claims and executes
    /// runs, then drains and deregisters. A store that does not answer delays neither end of a
    /// shutdown.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the executors are invalid, or when the store or the dispatcher refuses.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let (start_report, _) = oneshot::channel();
        self.run_with_start_report(shutdown, start_report).await
    }

    /// Runs like [`run`](Self::run), and reports failed starts once every agent has started or
    /// failed. Failed starts are retried while their tasks wait.
    ///
    /// # Errors
    ///
    /// Fails like [`run`](Self::run).
    pub async fn run_with_start_report(
        self,
        shutdown: Shutdown,
        start_report: oneshot::Sender<Vec<FailedStart>>,
    ) -> Result<(), StartError> {
        let descriptors: Vec<_> = self.executors.iter().map(|one| one.descriptor()).collect();
        let slots = Slots::new(self.options.concurrency.max(1), &descriptors);
        let agents = self.agents(&slots)?;
        let readiness = self.readiness.component("agents");
        let starts = TaskSet::new();
        let names = agents.keys().cloned();
        let runtime = self.executor_runtime.clone();
        let starter = AgentStarter::new(names, readiness, runtime, start_report);
        for agent in agents.values() {
            let availability = Arc::clone(&agent.availability);
            starter.spawn(availability, Arc::clone(&agent.executor), &starts);
        }
        let draining = shutdown.draining();
        let registered = draining.run_until_cancelled(self.register(&agents)).await;
        let outcome = match registered {
            Some(Ok(registration)) => {
                self.work(registration, &agents, slots, &shutdown).await;
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        starts.stop_and_wait().await;
        stop_executors(&self.options, &agents).await;
        outcome
    }

    fn agents(&self, slots: &Slots) -> Result<Agents, StartError> {
        let mut agents = BTreeMap::new();
        for executor in &self.executors {
            let descriptor = executor.descriptor();
            let name = descriptor.agent.name.clone();
            let availability = Arc::new(AgentAvailability::new(name.clone(), slots.clone()));
            let executor = Arc::clone(executor);
            let agent = Arc::new(AgentExecutor { executor, descriptor, availability });
            if agents.insert(name.clone(), agent).is_some() {
                return Err(StartError::DuplicateAgent(name));
            }
        }
        if agents.is_empty() { Err(StartError::NoExecutor) } else { Ok(agents) }
    }

    async fn register(&self, agents: &Agents) -> Result<Registration, StartError> {
        let source = self.dispatch.source(agents.keys().cloned().collect()).await?;
        let descriptors: Vec<_> =
            agents.values().map(|agent| agent.descriptor.agent.clone()).collect();
        let worker = NewWorker {
            id: WorkerId::new(self.ids.token()),
            name: self.options.name.clone(),
            agents: descriptors.clone(),
            lease: self.options.lease,
        };
        retry_until_available(|| self.store.register_agents(descriptors.clone())).await?;
        let sent_at = retry_until_available(|| self.store.register_worker(worker.clone())).await?;
        // Reported here, because a worker whose agents are all paused sends no claim.
        self.readiness.component("store").set_ok();
        Ok(Registration { worker, sent_at, source })
    }

    /// Claims and executes runs until the shutdown, then drains and deregisters.
    async fn work(
        &self,
        registration: Registration,
        agents: &Agents,
        slots: Slots,
        shutdown: &Shutdown,
    ) {
        let Registration { worker, sent_at, source } = registration;
        let id = worker.id;
        let env = self.run_env(shutdown);
        let background = TaskSet::new();
        BackgroundTasks::new(worker, &self.options, &env).spawn(sent_at, &background);
        let run_tasks = TaskSet::new();
        let claim_loop = ClaimLoop {
            env: Arc::clone(&env),
            agents: agents.clone(),
            slots,
            runs: run_tasks.clone(),
            worker: id,
            probe_interval: self.options.probe_interval,
            readiness: self.readiness.component("store"),
        };
        tracing::info!(worker = %id, agents = ?agents.keys(), "worker ready");
        claim_loop.run(source, shutdown.draining().clone()).await;
        // The background tasks go on during the drain: runs need their lease until they end.
        drain(&self.options, shutdown, &run_tasks, &env.runs).await;
        // Stopped first: the lease keeper would register the worker again.
        background.stop_and_wait().await;
        deregister(&*self.store, &*env.waker, id, &env.runs).await;
    }

    fn run_env(&self, shutdown: &Shutdown) -> Arc<RunEnv> {
        // History reads take at most a quarter of the slots: appends need connections too.
        let history_reads = self.options.concurrency.div_ceil(4).max(1) as usize;
        Arc::new(RunEnv {
            store: Arc::clone(&self.store),
            waker: self.dispatch.waker(),
            ids: Arc::clone(&self.ids),
            runs: ActiveRuns::default(),
            history_reads: Semaphore::new(history_reads),
            alarm: ReapAlarm::default(),
            executors: self.executor_runtime.clone(),
            grace: self.options.grace,
            lease_lost_grace: self.options.grace.min(self.options.lease / 3),
            draining: shutdown.draining().clone(),
            stop_now: shutdown.stop_now().clone(),
        })
    }
}

/// Repeats a call until the store is available; returns the instant before the successful call.
///
/// The database was there when the process connected, so an outage is temporary.
async fn retry_until_available<F>(call: impl Fn() -> F) -> Result<Instant, StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut failures = 0;
    loop {
        let sent_at = Instant::now();
        match call().await {
            Ok(()) => return Ok(sent_at),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "registration failed; retrying");
                tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
                failures = failures.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
}
