//! The registry of runs that this worker is executing.

use crate::run_signals::{RunSignals, StopReason};
use longhaul_domain::{Fence, TaskKey};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Early cancels that are remembered.
const MAX_EARLY_CANCELS: usize = 1_024;

/// All active runs of the worker; clones share them.
#[derive(Clone, Default)]
pub struct ActiveRuns(Arc<Mutex<ActiveRunTable>>);

#[derive(Default)]
struct ActiveRunTable {
    by_task: HashMap<TaskKey, (Fence, Arc<RunSignals>)>,
    /// Cancels of tasks without an active run, the newest first: a cancel can arrive between the
    /// claim and the registration. A stale one is harmless, since a cancel cannot be taken back.
    early_cancels: VecDeque<TaskKey>,
}

/// Removes its run from the registry on drop.
pub struct ActiveRunGuard {
    runs: ActiveRuns,
    key: TaskKey,
    fence: Fence,
}

impl ActiveRuns {
    /// Registers a run.
    pub fn register(&self, key: TaskKey, fence: Fence, signals: Arc<RunSignals>) -> ActiveRunGuard {
        // One lock for check and insert: a cancel is found here, or finds the run.
        let mut table = self.lock();
        if table.early_cancels.contains(&key) {
            signals.stop(StopReason::Canceled);
        }
        table.by_task.insert(key, (fence, signals));
        drop(table);
        ActiveRunGuard { runs: self.clone(), key, fence }
    }

    /// Stops the run of a task, if there is one. A cancel without a run is remembered.
    pub fn stop(&self, key: TaskKey, reason: StopReason) {
        let mut table = self.lock();
        if let Some((_, signals)) = table.by_task.get(&key) {
            signals.stop(reason);
        } else if reason == StopReason::Canceled && !table.early_cancels.contains(&key) {
            table.early_cancels.truncate(MAX_EARLY_CANCELS - 1);
            table.early_cancels.push_front(key);
        }
    }

    /// Stops the run of a task if it was claimed with this fence.
    pub fn stop_claim(&self, key: TaskKey, fence: Fence, reason: StopReason) {
        let table = self.lock();
        if let Some((_, signals)) = table.by_task.get(&key).filter(|(held, _)| *held == fence) {
            signals.stop(reason);
        }
    }

    /// Stops every run.
    pub fn stop_all(&self, reason: StopReason) {
        for (_, signals) in self.lock().by_task.values() {
            signals.stop(reason);
        }
    }

    /// The tasks with an active run, each with the fence of its claim.
    pub fn list(&self) -> Vec<(TaskKey, Fence)> {
        self.lock().by_task.iter().map(|(key, (fence, _))| (*key, *fence)).collect()
    }

    /// Notifies the runs of these tasks, or all runs, that the client may have sent a message.
    pub fn notify_message(&self, keys: Option<&[TaskKey]>) {
        let table = self.lock();
        let notify = |(_, signals): &(Fence, Arc<RunSignals>)| signals.message.notify_one();
        match keys {
            Some(keys) => keys.iter().filter_map(|key| table.by_task.get(key)).for_each(notify),
            None => table.by_task.values().for_each(notify),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ActiveRunTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ActiveRunGuard {
    fn drop(&mut self) {
        let mut table = self.runs.lock();
        // A later claim of the same task may have replaced this one.
        if table.by_task.get(&self.key).is_some_and(|(fence, _)| *fence == self.fence) {
            table.by_task.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fence, key};

    #[test]
    fn a_cancel_that_arrives_before_its_run_is_registered_stops_the_run() {
        let runs = ActiveRuns::default();
        runs.stop(key(1), StopReason::Canceled);
        let signals = Arc::new(RunSignals::new());
        let _guard = runs.register(key(1), fence(1), Arc::clone(&signals));
        assert_eq!(signals.stop_reason(), Some(StopReason::Canceled));
    }

    #[test]
    fn stopping_an_earlier_claim_leaves_the_later_one_running() {
        let runs = ActiveRuns::default();
        let signals = Arc::new(RunSignals::new());
        let _guard = runs.register(key(1), fence(2), Arc::clone(&signals));
        runs.stop_claim(key(1), fence(1), StopReason::LeaseLost);
        assert_eq!(signals.stop_reason(), None);
        runs.stop_claim(key(1), fence(2), StopReason::LeaseLost);
        assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
    }
}
