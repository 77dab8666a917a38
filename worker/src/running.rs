//! The runs of this worker that are under way.

use crate::{signals::RunSignals, why::Why};
use longhaul_domain::{Fence, TaskKey};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// All runs under way; clones share them.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<Runs>>);

#[derive(Default)]
struct Runs {
    here: HashMap<TaskKey, (Fence, Arc<RunSignals>)>,
    /// Cancels of tasks that are not here, the latest first: one may come just before its run is registered. A task that
    /// was asked to stop stays asked, so an old one does no harm.
    early: VecDeque<TaskKey>,
}

/// Early cancels that are remembered.
const EARLY: usize = 1_024;

/// Takes its run off the list when it is dropped.
pub struct Registered {
    running: Running,
    key: TaskKey,
    fence: Fence,
}

impl Running {
    /// Puts a run on the list.
    pub fn register(&self, key: TaskKey, fence: Fence, signals: Arc<RunSignals>) -> Registered {
        let mut runs = self.lock();
        if runs.early.contains(&key) {
            signals.stop(Why::Canceled);
        }
        runs.here.insert(key, (fence, signals));
        drop(runs);
        Registered { running: self.clone(), key, fence }
    }

    /// Stops the run of a task, if it is here.
    pub fn stop(&self, key: TaskKey, why: Why) {
        let mut runs = self.lock();
        if let Some((_, signals)) = runs.here.get(&key) {
            signals.stop(why);
        } else if why == Why::Canceled && !runs.early.contains(&key) {
            runs.early.truncate(EARLY - 1);
            runs.early.push_front(key);
        }
    }

    /// Stops the run of a task that was claimed with this fence, if it is here.
    pub fn stop_claim(&self, key: TaskKey, fence: Fence, why: Why) {
        if let Some((_, signals)) = self.lock().here.get(&key).filter(|(here, _)| *here == fence) {
            signals.stop(why);
        }
    }

    /// Stops every run.
    pub fn stop_all(&self, why: Why) {
        for (_, signals) in self.lock().here.values() {
            signals.stop(why);
        }
    }

    /// Which there are.
    pub fn list(&self) -> Vec<(TaskKey, Fence)> {
        self.lock().here.iter().map(|(key, (fence, _))| (*key, *fence)).collect()
    }

    /// Says that the client may have spoken to these tasks, or to any.
    pub fn ring(&self, keys: Option<&[TaskKey]>) {
        let runs = self.lock();
        let ring = |(_, signals): &(Fence, Arc<RunSignals>)| signals.message.notify_one();
        match keys {
            Some(keys) => keys.iter().filter_map(|key| runs.here.get(key)).for_each(ring),
            None => runs.here.values().for_each(ring),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut runs = self.running.lock();
        // A later claim of the same task may be on the list already.
        if runs.here.get(&self.key).is_some_and(|(fence, _)| *fence == self.fence) {
            runs.here.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fence, key};

    #[test]
    fn a_cancel_that_comes_before_its_run_is_registered_is_heard() {
        let running = Running::default();
        running.stop(key(1), Why::Canceled);
        let signals = Arc::new(RunSignals::new());
        let _registered = running.register(key(1), fence(1), Arc::clone(&signals));
        assert_eq!(signals.why(), Some(Why::Canceled));
    }

    #[test]
    fn a_later_claim_is_not_stopped_in_place_of_an_earlier_one() {
        let running = Running::default();
        let signals = Arc::new(RunSignals::new());
        let _registered = running.register(key(1), fence(2), Arc::clone(&signals));
        running.stop_claim(key(1), fence(1), Why::LeaseLost);
        assert_eq!(signals.why(), None);
        running.stop_claim(key(1), fence(2), Why::LeaseLost);
        assert_eq!(signals.why(), Some(Why::LeaseLost));
    }
}
