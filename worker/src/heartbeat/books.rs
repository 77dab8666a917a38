//! Compares what this worker runs with what the store's books say that it holds.
//!
//! Each heartbeat brings a digest of what the store has, so two sets of the same size do not pass for the same.
//! The two differ for a moment whenever something is claimed or settled. What differs at two heartbeats in a row is the trace
//! of a lost answer: a run of which only the store knows is given back, for nobody else would take it as long as this worker
//! lives; one of which only the worker knows is stopped.

use crate::{release::release, running::Running, why::Why};
use longhaul_domain::{Fence, TaskKey, WorkerId};
use longhaul_store::{HeldDigest, Settled, WorkerStore};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// What the heartbeats have said; clones share it.
#[derive(Clone, Default)]
pub struct Books(Arc<State>);

#[derive(Default)]
struct State {
    held: Mutex<HeldDigest>,
    told: Notify,
}

type Run = (TaskKey, Fence);

/// What differed at the last heartbeat, and since when.
#[derive(Default)]
struct Differences {
    only_store: HashMap<Run, Instant>,
    only_worker: HashMap<Run, Instant>,
}

/// Whose books they are.
pub struct Keeper {
    pub store: Arc<dyn WorkerStore>,
    pub worker: WorkerId,
    /// What differs for less than this may be under way: an answer is late.
    pub patience: Duration,
    pub running: Running,
    pub books: Books,
}

impl Differences {
    fn is_empty(&self) -> bool {
        self.only_store.is_empty() && self.only_worker.is_empty()
    }
}

impl Books {
    /// A heartbeat says which runs the worker holds.
    pub fn told(&self, held: HeldDigest) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.0.told.notify_one();
    }

    async fn next(&self) -> HeldDigest {
        self.0.told.notified().await;
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Compares at each heartbeat, for as long as the worker runs.
    pub async fn run(self) {
        let mut before = Differences::default();
        loop {
            let held = self.books.next().await;
            before = self.compare(held, before).await;
        }
    }

    /// Compares; what differed before too is put right.
    async fn compare(&self, held: HeldDigest, before: Differences) -> Differences {
        let digest = HeldDigest::from_tokens(self.running.list().iter().map(|(_, f)| f.token));
        // What was found to differ is looked at once more, so that it is known not to differ any longer.
        if digest == held && before.is_empty() {
            return before;
        }
        let ours: HashSet<Run> = self.running.list().into_iter().collect();
        let theirs: HashSet<Run> = match self.store.held_runs(self.worker).await {
            Ok(runs) => runs.into_iter().collect(),
            Err(error) => {
                tracing::warn!(%error, "cannot compare what runs here with the store's books");
                return before;
            }
        };
        let now = Differences {
            only_store: since(theirs.difference(&ours), &before.only_store),
            only_worker: since(ours.difference(&theirs), &before.only_worker),
        };
        for (key, fence) in self.lasting(&now.only_worker) {
            tracing::warn!(task_id = %key.task, "the store does not know of this run any more");
            self.running.stop_claim(key, fence, Why::LeaseLost);
        }
        for (key, fence) in self.lasting(&now.only_store) {
            self.give_back(key, fence).await;
        }
        now
    }

    fn lasting<'a>(&self, differ: &'a HashMap<Run, Instant>) -> impl Iterator<Item = Run> + 'a {
        let patience = self.patience;
        differ.iter().filter(move |(_, since)| since.elapsed() >= patience).map(|(run, _)| *run)
    }

    async fn give_back(&self, key: TaskKey, fence: Fence) {
        match self.store.settle(release(key, fence, 0)).await {
            Ok(Settled::Now { .. } | Settled::HandedBack { .. }) => {
                // Its agent is not known here either, so nobody can be woken: the probing finds it.
                tracing::warn!(task_id = %key.task, "gave back a run that nobody here knew of");
            }
            Ok(Settled::Already { .. } | Settled::Fenced | Settled::Ended(_)) => {}
            Err(error) => {
                tracing::warn!(%error, task_id = %key.task, "cannot give back a run yet");
            }
        }
    }
}

/// Since when each of them differs.
fn since<'a>(
    differ: impl Iterator<Item = &'a Run>,
    before: &HashMap<Run, Instant>,
) -> HashMap<Run, Instant> {
    let now = Instant::now();
    differ.map(|run| (*run, before.get(run).copied().unwrap_or(now))).collect()
}
