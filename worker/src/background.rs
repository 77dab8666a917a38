//! The background tasks of a worker: heartbeat, reconciliation, control signals and reaper.

use crate::{
    control_signals,
    heartbeat::{HeldRuns, LeaseKeeper, MissedSignals, Reconciler},
    options::WorkerOptions,
    reaper::Reaper,
    run::RunEnv,
};
use longhaul_runtime::TaskSet;
use longhaul_store::{NewWorker, Store, WorkerStore};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Time beyond the grace period before a reaper ends a run by force: its own worker comes first.
const FORCED_END_MARGIN: Duration = Duration::from_secs(2);

/// The background tasks of a worker.
pub struct BackgroundTasks {
    lease_keeper: LeaseKeeper,
    reconciler: Reconciler,
    reaper: Reaper,
    store: Arc<dyn Store>,
}

impl BackgroundTasks {
    /// The background tasks of a worker; none runs yet.
    pub fn new(worker: NewWorker, options: &WorkerOptions, env: &RunEnv) -> Self {
        let (runs, held) = (&env.runs, HeldRuns::default());
        let store = || -> Arc<dyn WorkerStore> { Arc::<dyn Store>::clone(&env.store) };
        let reconciler = Reconciler {
            store: store(),
            worker: worker.id,
            min_difference_age: options.lease / 5,
            runs: runs.clone(),
            held: held.clone(),
        };
        let reaper = Reaper {
            store: store(),
            waker: Arc::clone(&env.waker),
            runs: runs.clone(),
            alarm: env.alarm.clone(),
            max_losses: options.max_losses.max(1),
            grace: options.grace + FORCED_END_MARGIN,
            lease: options.lease,
        };
        let lease_keeper = LeaseKeeper {
            store: store(),
            waker: Arc::clone(&env.waker),
            worker,
            runs: runs.clone(),
            missed: MissedSignals::default(),
            held,
        };
        Self { lease_keeper, reconciler, reaper, store: Arc::clone(&env.store) }
    }

    /// Spawns the tasks; they run until `tasks` is stopped. `registered_at` is the instant before
    /// the worker's registration was sent.
    pub fn spawn(self, registered_at: Instant, tasks: &TaskSet) {
        let spawn = |name, task: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = tasks.stopping().clone();
            tasks.spawn(name, async move {
                stop.run_until_cancelled(task).await;
            });
        };
        let runs = self.lease_keeper.runs.clone();
        let missed = self.lease_keeper.missed.clone();
        spawn("heartbeat", Box::pin(self.lease_keeper.run(registered_at)));
        spawn("reconcile", Box::pin(self.reconciler.run()));
        spawn("control-signals", Box::pin(control_signals::listen(self.store, runs, missed)));
        spawn("reaper", Box::pin(self.reaper.run()));
    }
}
