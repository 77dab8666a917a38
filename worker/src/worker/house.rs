//! What goes on besides the runs.

use super::Worker;
use crate::{
    control,
    heartbeat::{Books, Doubt, Keeper, Lease},
    reaper::Reaper,
    run::RunEnv,
};
use longhaul_runtime::TaskSet;
use longhaul_store::{NewWorker, Store, WorkerStore};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How much longer than its worker's own end a run may take before a reaper ends it by force.
const FORCE_AFTER: Duration = Duration::from_secs(2);

/// The parts that keep a worker alive.
pub struct House {
    lease: Lease,
    keeper: Keeper,
    reaper: Reaper,
    store: Arc<dyn Store>,
}

impl House {
    /// Of a worker.
    pub fn of(owner: &Worker, worker: NewWorker, env: &RunEnv) -> Self {
        let (running, books) = (&env.running, Books::default());
        let work = || -> Arc<dyn WorkerStore> { Arc::<dyn Store>::clone(&owner.store) };
        let options = &owner.options;
        let keeper = Keeper {
            store: work(),
            worker: worker.id,
            patience: options.lease / 5,
            running: running.clone(),
            books: books.clone(),
        };
        let reaper = Reaper {
            store: work(),
            waker: Arc::clone(&env.waker),
            running: running.clone(),
            alarm: env.alarm.clone(),
            max_losses: options.max_losses.max(1),
            grace: options.grace + FORCE_AFTER,
            lease: options.lease,
        };
        let lease = Lease {
            store: work(),
            waker: Arc::clone(&env.waker),
            worker,
            running: running.clone(),
            doubt: Doubt::default(),
            books,
        };
        Self { lease, keeper, reaper, store: Arc::clone(&owner.store) }
    }

    /// Starts them, until `background` is stopped. `registered` is the moment before the worker registered.
    pub fn keep(self, registered: Instant, background: &TaskSet) {
        let start = |name, work: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = background.stopping().clone();
            background.spawn(name, async move {
                stop.run_until_cancelled(work).await;
            });
        };
        let (running, doubt) = (self.lease.running.clone(), self.lease.doubt.clone());
        start("heartbeat", Box::pin(self.lease.keep(registered)));
        start("books", Box::pin(self.keeper.run()));
        start("control", Box::pin(control::listen(self.store, running, doubt)));
        start("reaper", Box::pin(self.reaper.run()));
    }
}
