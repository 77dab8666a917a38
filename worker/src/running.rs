//! The runs of this worker that are under way, and how they are told to stop.

use longhaul_domain::{Fence, TaskKey};
use longhaul_executor::Stopped;
use std::{
    collections::HashMap,
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

type Runs = HashMap<TaskKey, (Fence, Arc<RunSignals>)>;

/// Takes its run off the list when it is dropped.
pub struct Registered {
    running: Running,
    key: TaskKey,
    fence: Fence,
}

impl Running {
    /// Puts a run on the list.
    pub fn register(&self, key: TaskKey, fence: Fence, signals: Arc<RunSignals>) -> Registered {
        self.lock().insert(key, (fence, signals));
        Registered { running: self.clone(), key, fence }
    }

    /// Stops the run of a task, if it is here.
    pub fn stop(&self, key: TaskKey, reason: Stopped) {
        if let Some((_, signals)) = self.lock().get(&key) {
            signals.stop(reason);
        }
    }

    /// Stops every run.
    pub fn stop_all(&self, reason: Stopped) {
        for (_, signals) in self.lock().values() {
            signals.stop(reason);
        }
    }

    /// Says that the client may have spoken to these tasks, or to any.
    pub fn ring(&self, keys: Option<&[TaskKey]>) {
        let runs = self.lock();
        let ring = |(_, signals): &(Fence, Arc<RunSignals>)| signals.message.notify_one();
        match keys {
            Some(keys) => keys.iter().filter_map(|key| runs.get(key)).for_each(ring),
            None => runs.values().for_each(ring),
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
        if runs.get(&self.key).is_some_and(|(fence, _)| *fence == self.fence) {
            runs.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_to_stop_stands() {
        let signals = RunSignals::new();
        assert_eq!(signals.stopped(), None);
        signals.stop(Stopped::Canceled);
        signals.stop(Stopped::Draining);
        assert_eq!(signals.stopped(), Some(Stopped::Canceled));
    }
}
