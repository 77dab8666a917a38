//! Whether messages flow, as proven by messages that did.
//!
//! Guarantee: "ok" means that every open leg (the publisher, each source) has shown within its last interval that the
//! broker takes or delivers messages. A new process begins unproven.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use longhaul_runtime::readiness::ComponentHandle;
use tokio::{sync::watch, time::Instant};

/// The health of all legs of one dispatcher.
pub(super) struct Health {
    legs: Mutex<Legs>,
    proven: watch::Sender<bool>,
    component: Option<ComponentHandle>,
}

#[derive(Default)]
struct Legs {
    last: u64,
    // What ails each; `None` is well.
    ailments: BTreeMap<u64, Option<&'static str>>,
}

/// One leg; it stops counting when dropped.
pub(super) struct Leg {
    health: Arc<Health>,
    id: u64,
}

impl Health {
    pub(super) fn new(component: Option<ComponentHandle>) -> Arc<Self> {
        let proven = watch::Sender::new(false);
        Arc::new(Self { legs: Mutex::default(), proven, component })
    }

    /// Adds a leg that has proven nothing yet.
    pub(super) fn leg(self: &Arc<Self>) -> Leg {
        let id = self.change(|legs| {
            legs.last += 1;
            legs.ailments.insert(legs.last, Some("connecting"));
            legs.last
        });
        Leg { health: Arc::clone(self), id }
    }

    /// Follows whether all legs are proven.
    pub(super) fn proven(&self) -> watch::Receiver<bool> {
        self.proven.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Legs) -> T) -> T {
        let mut legs = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut legs);
        let ailment = legs.ailments.values().find_map(|ailment| *ailment);
        // Under the lock, so that reports leave in the order of the changes.
        self.proven.send_replace(ailment.is_none());
        match (&self.component, ailment) {
            (Some(component), None) => component.set_ok(),
            (Some(component), Some(ailment)) => component.set_failed(ailment),
            (None, _) => {}
        }
        answer
    }
}

impl Leg {
    /// A message made it.
    pub(super) fn proven(&self) {
        self.set(None);
    }

    /// None does. `ailment` is shown to whoever may ask.
    pub(super) fn failed(&self, ailment: &'static str) {
        self.set(Some(ailment));
    }

    fn set(&self, ailment: Option<&'static str>) {
        self.health.change(|legs| legs.ailments.insert(self.id, ailment));
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.health.change(|legs| legs.ailments.remove(&self.id));
    }
}

/// When to prove, and when a proof is overdue.
pub(super) struct Proof {
    every: Duration,
    within: Duration,
    deadline: Instant,
    awaited: bool,
    ever: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a proof.
    Send,
    /// The one sent has not come back in time.
    Missed,
}

impl Proof {
    /// A first proof is due at once.
    pub(super) fn new(every: Duration, within: Duration) -> Self {
        Self { every, within, deadline: Instant::now(), awaited: false, ever: false }
    }

    /// Waits for whatever is due next. Cancel-safe.
    pub(super) async fn due(&mut self) -> Due {
        tokio::time::sleep_until(self.deadline).await;
        self.awaited = !self.awaited;
        if self.awaited {
            self.deadline = Instant::now() + self.within;
            Due::Send
        } else {
            // The next one follows at once: a broker that comes back should not wait for its turn.
            self.deadline = Instant::now();
            Due::Missed
        }
    }

    /// A proof came back, be it late.
    pub(super) fn arrived(&mut self) {
        self.ever = true;
        self.awaited = false;
        self.deadline = Instant::now() + self.every;
    }

    /// Whether any came back so far.
    pub(super) fn ever(&self) -> bool {
        self.ever
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::Readiness;

    #[test]
    fn all_legs_must_be_proven_and_one_that_is_gone_does_not_count() {
        let readiness = Readiness::new();
        let health = Health::new(Some(readiness.component("broker")));
        let (publisher, source) = (health.leg(), health.leg());
        publisher.proven();
        assert!(!readiness.is_ready() && !*health.proven().borrow());
        source.proven();
        assert!(readiness.is_ready() && *health.proven().borrow());
        source.failed("no proof");
        assert_eq!(readiness.snapshot().components["broker"].reason.as_deref(), Some("no proof"));
        drop(source);
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_proof_is_sent_at_once_and_again_after_the_interval() {
        let started = Instant::now();
        let mut proof = Proof::new(Duration::from_secs(10), Duration::from_secs(5));
        assert_eq!((proof.due().await, started.elapsed().as_secs()), (Due::Send, 0));
        proof.arrived();
        assert_eq!((proof.due().await, started.elapsed().as_secs()), (Due::Send, 10));
        assert_eq!((proof.due().await, started.elapsed().as_secs()), (Due::Missed, 15));
        assert_eq!((proof.due().await, started.elapsed().as_secs()), (Due::Send, 15));
    }
}
