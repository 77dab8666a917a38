//! The runs of this worker that are under way, and how they are told to stop.

use longhaul_domain::{Fence, TaskKey};
use longhaul_executor::Stopped;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How one run is told things from outside.
pub struct RunSignals {
    /// Cancelled when the run shall stop.
    pub stop: CancellationToken,
    /// Why it shall; the first reason stands.
    reason: OnceLock<Stopped>,
    /// Rung when the client may have said more.
    pub message: Notify,
}

impl RunSignals {
    /// Of a run that nobody has stopped.
    pub fn new() -> Self {
        Self { stop: CancellationToken::new(), reason: OnceLock::new(), message: Notify::new() }
    }

    /// Stops the run, unless it was stopped before for another reason.
    pub fn stop(&self, reason: Stopped) {
        let _ = self.reason.set(reason);
        self.stop.cancel();
    }

    /// Why the run was stopped, if it was.
    pub fn stopped(&self) -> Option<Stopped> {
        if self.stop.is_cancelled() { self.reason.get().copied() } else { None }
    }

    /// Waits until the run is stopped.
    pub async fn wait_stopped(&self) -> Stopped {
        self.stop.cancelled().await;
        self.reason.get().copied().unwrap_or(Stopped::Draining)
    }
}

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
            signals.stop(Stopped::Canceled);
        }
        runs.here.insert(key, (fence, signals));
        drop(runs);
        Registered { running: self.clone(), key, fence }
    }

    /// Stops the run of a task, if it is here.
    pub fn stop(&self, key: TaskKey, reason: Stopped) {
        let mut runs = self.lock();
        if let Some((_, signals)) = runs.here.get(&key) {
            signals.stop(reason);
        } else if reason == Stopped::Canceled {
            runs.early.truncate(EARLY - 1);
            runs.early.push_front(key);
        }
    }

    /// Stops every run.
    pub fn stop_all(&self, reason: Stopped) {
        for (_, signals) in self.lock().here.values() {
            signals.stop(reason);
        }
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
    use longhaul_domain::{Epoch, OwnerId, TaskId};
    use uuid::Uuid;

    #[test]
    fn a_cancel_that_comes_before_its_run_is_registered_is_heard() {
        let running = Running::default();
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(1)) };
        running.stop(key, Stopped::Canceled);
        let signals = Arc::new(RunSignals::new());
        let fence = Fence { epoch: Epoch(1), token: Uuid::from_u128(2) };
        let _registered = running.register(key, fence, Arc::clone(&signals));
        assert_eq!(signals.stopped(), Some(Stopped::Canceled));
    }

    #[test]
    fn the_first_reason_to_stop_stands() {
        let signals = RunSignals::new();
        assert_eq!(signals.stopped(), None);
        signals.stop(Stopped::Canceled);
        signals.stop(Stopped::Draining);
        assert_eq!(signals.stopped(), Some(Stopped::Canceled));
    }
}
