//! Health of the message flow, proven by probe messages.
//!
//! Guarantee: "ok" means that within its last interval every open path (the publisher, each source)
//! has proven that the broker accepts or delivers messages. A new process starts unproven.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use longhaul_runtime::readiness::ComponentHandle;
use tokio::{sync::watch, time::Instant};

/// The health of all message paths of a dispatcher.
pub(super) struct FlowHealth {
    paths: Mutex<Paths>,
    healthy: watch::Sender<bool>,
    component: Option<ComponentHandle>,
}

#[derive(Default)]
struct Paths {
    last_id: u64,
    // The failure of each path, if any.
    failures: BTreeMap<u64, Option<&'static str>>,
}

/// The reporter of one path, which no longer counts once this is dropped.
pub(super) struct FlowReporter {
    health: Arc<FlowHealth>,
    id: u64,
}

impl FlowHealth {
    pub(super) fn new(component: Option<ComponentHandle>) -> Arc<Self> {
        let healthy = watch::Sender::new(false);
        Arc::new(Self { paths: Mutex::default(), healthy, component })
    }

    /// Registers a path, unproven at first.
    pub(super) fn register(self: &Arc<Self>) -> FlowReporter {
        let id = self.change(|paths| {
            paths.last_id += 1;
            paths.failures.insert(paths.last_id, Some("connecting"));
            paths.last_id
        });
        FlowReporter { health: Arc::clone(self), id }
    }

    /// Subscribes to whether all paths are healthy.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.healthy.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Paths) -> T) -> T {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut paths);
        let failure = paths.failures.values().find_map(|failure| *failure);
        // Report under the lock, so that reports keep the order of the changes.
        self.healthy.send_replace(failure.is_none());
        match (&self.component, failure) {
            (Some(component), None) => component.set_ok(),
            (Some(component), Some(failure)) => component.set_failed(failure),
            (None, _) => {}
        }
        result
    }
}

impl FlowReporter {
    /// Reports that a message passed.
    pub(super) fn healthy(&self) {
        self.set(None);
    }

    /// Reports that messages do not pass. `failure` is public.
    pub(super) fn failed(&self, failure: &'static str) {
        self.set(Some(failure));
    }

    fn set(&self, failure: Option<&'static str>) {
        self.health.change(|paths| paths.failures.insert(self.id, failure));
    }
}

impl Drop for FlowReporter {
    fn drop(&mut self) {
        self.health.change(|paths| paths.failures.remove(&self.id));
    }
}

/// The schedule of probes and their timeouts.
pub(super) struct ProbeSchedule {
    interval: Duration,
    timeout: Duration,
    deadline: Instant,
    awaited: bool,
    any_arrived: bool,
}

/// The next due step of a [`ProbeSchedule`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProbeDue {
    /// Send a probe.
    Send,
    /// The probe has not arrived in time.
    Missed,
}

impl ProbeSchedule {
    /// Creates a schedule; the first probe is due at once.
    pub(super) fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, deadline: Instant::now(), awaited: false, any_arrived: false }
    }

    /// Waits for the next due step. Cancel-safe.
    pub(super) async fn due(&mut self) -> ProbeDue {
        tokio::time::sleep_until(self.deadline).await;
        self.awaited = !self.awaited;
        if self.awaited {
            self.deadline = Instant::now() + self.timeout;
            ProbeDue::Send
        } else {
            // Probe again at once, to notice quickly when the broker recovers.
            self.deadline = Instant::now();
            ProbeDue::Missed
        }
    }

    /// Records that a probe arrived, in time or late.
    pub(super) fn arrived(&mut self) {
        self.any_arrived = true;
        self.awaited = false;
        self.deadline = Instant::now() + self.interval;
    }

    /// Tells whether any probe has arrived.
    pub(super) fn any_arrived(&self) -> bool {
        self.any_arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::Readiness;

    #[test]
    fn all_paths_must_be_healthy_and_closed_ones_do_not_count() {
        let readiness = Readiness::new();
        let health = FlowHealth::new(Some(readiness.component("broker")));
        let (publisher, source) = (health.register(), health.register());
        publisher.healthy();
        assert!(!readiness.is_ready() && !*health.subscribe().borrow());
        source.healthy();
        assert!(readiness.is_ready() && *health.subscribe().borrow());
        source.failed("no proof");
        assert_eq!(readiness.snapshot().components["broker"].reason.as_deref(), Some("no proof"));
        drop(source);
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_due_at_once_and_again_after_the_interval() {
        let started = Instant::now();
        let mut schedule = ProbeSchedule::new(Duration::from_secs(10), Duration::from_secs(5));
        assert_eq!((schedule.due().await, started.elapsed().as_secs()), (ProbeDue::Send, 0));
        schedule.arrived();
        assert_eq!((schedule.due().await, started.elapsed().as_secs()), (ProbeDue::Send, 10));
        assert_eq!((schedule.due().await, started.elapsed().as_secs()), (ProbeDue::Missed, 15));
        assert_eq!((schedule.due().await, started.elapsed().as_secs()), (ProbeDue::Send, 15));
    }
}
