//! Reconciles the runs that this worker executes with those that the store says it holds.
//!
//! Each heartbeat brings a digest of what the store has, so that two sets of equal size do not
//! pass for the same. The sets differ for a moment around every claim and settlement; a difference
//! that lasts is the trace of a lost response. A run that only the store knows is released,
//! because no other worker takes it while this one lives. A run that only the worker knows is
//! stopped.

use crate::{active_runs::ActiveRuns, run_signals::StopReason, settlement::release_request};
use longhaul_domain::{Fence, TaskKey, WorkerId};
use longhaul_store::{HeldDigest, Settled, WorkerStore};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The digest of the runs that the store holds for this worker, as of the last heartbeat; clones
/// share it.
#[derive(Clone, Default)]
pub struct HeldRuns(Arc<HeldRunsState>);

#[derive(Default)]
struct HeldRunsState {
    digest: Mutex<HeldDigest>,
    updated: Notify,
}

type ClaimKey = (TaskKey, Fence);

/// The differences at the last comparison, each with the time of its first sight.
#[derive(Default)]
struct Differences {
    only_store: HashMap<ClaimKey, Instant>,
    only_worker: HashMap<ClaimKey, Instant>,
}

/// Compares active runs with the store's at every heartbeat.
pub struct Reconciler {
    pub store: Arc<dyn WorkerStore>,
    pub worker: WorkerId,
    /// Age from which a difference is acted upon. A younger one may be a response in flight.
    pub min_difference_age: Duration,
    pub runs: ActiveRuns,
    pub held: HeldRuns,
}

impl Differences {
    fn is_empty(&self) -> bool {
        self.only_store.is_empty() && self.only_worker.is_empty()
    }
}

impl HeldRuns {
    /// Takes the digest of a heartbeat.
    pub fn update(&self, digest: HeldDigest) {
        *self.0.digest.lock().unwrap_or_else(PoisonError::into_inner) = digest;
        self.0.updated.notify_one();
    }

    async fn next_digest(&self) -> HeldDigest {
        self.0.updated.notified().await;
        *self.0.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reconciler {
    /// Reconciles at each heartbeat until it is dropped.
    pub async fn run(self) {
        let mut earlier = Differences::default();
        loop {
            let digest = self.held.next_digest().await;
            earlier = self.reconcile(digest, earlier).await;
        }
    }

    /// Compares the two sets and repairs differences that have lasted.
    async fn reconcile(&self, held: HeldDigest, earlier: Differences) -> Differences {
        let active = HeldDigest::from_tokens(self.runs.list().iter().map(|(_, f)| f.token));
        // Equal digests end the round only when nothing differed before. Otherwise compare in full
        // once more: a stale difference must not be taken for one that has lasted.
        if active == held && earlier.is_empty() {
            return earlier;
        }
        let active: HashSet<ClaimKey> = self.runs.list().into_iter().collect();
        let held: HashSet<ClaimKey> = match self.store.held_runs(self.worker).await {
            Ok(runs) => runs.into_iter().collect(),
            Err(error) => {
                tracing::warn!(%error, "reconcile failed");
                return earlier;
            }
        };
        let now = Differences {
            only_store: first_seen(held.difference(&active), &earlier.only_store),
            only_worker: first_seen(active.difference(&held), &earlier.only_worker),
        };
        for (key, fence) in self.lasting(&now.only_worker) {
            tracing::warn!(task_id = %key.task, "lease lost: run unknown to the store");
            self.runs.stop_claim(key, fence, StopReason::LeaseLost);
        }
        for (key, fence) in self.lasting(&now.only_store) {
            self.release(key, fence).await;
        }
        now
    }

    fn lasting<'a>(
        &self,
        differences: &'a HashMap<ClaimKey, Instant>,
    ) -> impl Iterator<Item = ClaimKey> + 'a {
        let min_age = self.min_difference_age;
        differences
            .iter()
            .filter(move |(_, first_seen)| first_seen.elapsed() >= min_age)
            .map(|(run, _)| *run)
    }

    async fn release(&self, key: TaskKey, fence: Fence) {
        match self.store.settle(release_request(key, fence, 0)).await {
            Ok(Settled::Now { .. } | Settled::HandedBack { .. }) => {
                // The agent of the run is unknown here, so no worker can be woken; a probe finds
                // it.
                tracing::warn!(task_id = %key.task, "released a run unknown to this worker");
            }
            Ok(Settled::Already { .. } | Settled::Fenced | Settled::Ended(_)) => {}
            Err(error) => {
                tracing::warn!(%error, task_id = %key.task, "release failed; retrying");
            }
        }
    }
}

/// The time of first sight of each difference.
fn first_seen<'a>(
    differences: impl Iterator<Item = &'a ClaimKey>,
    earlier: &HashMap<ClaimKey, Instant>,
) -> HashMap<ClaimKey, Instant> {
    let now = Instant::now();
    differences.map(|run| (*run, earlier.get(run).copied().unwrap_or(now))).collect()
}
