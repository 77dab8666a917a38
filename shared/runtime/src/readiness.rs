//! Which parts of a process are well, for `/readyz`.
//!
//! A process is ready when every component that it needs has said so; a component that has said nothing yet is not ready.
//! One that it can do without is shown too, so that whoever looks sees that it fails. State lives in memory only: a
//! restarted process begins unready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// The components of one process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, ComponentHealth>>>);

/// How one component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    /// Whether it works.
    pub ok: bool,
    /// Why it does not; shown to whoever may ask, so without addresses or secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the process is as ready without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// The answer to `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessSnapshot {
    /// Whether every component works that is not optional.
    pub ready: bool,
    /// Each component by its name.
    pub components: BTreeMap<&'static str, ComponentHealth>,
}

/// Reports the health of one component; clones report the same one.
#[derive(Debug, Clone)]
pub struct ComponentHandle {
    registry: Readiness,
    name: &'static str,
    optional: bool,
}

impl Readiness {
    /// A registry without components, which counts as ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a component, not ready until it says so. The same name again gives the same component as it is.
    pub fn component(&self, name: &'static str) -> ComponentHandle {
        self.register(name, false)
    }

    /// Registers a component that the process can do without: shown like the others, and without a say.
    pub fn optional(&self, name: &'static str) -> ComponentHandle {
        self.register(name, true)
    }

    fn register(&self, name: &'static str, optional: bool) -> ComponentHandle {
        self.lock()
            .entry(name)
            .or_insert_with(|| ComponentHealth { optional, ..failed("starting") });
        ComponentHandle { registry: self.clone(), name, optional }
    }

    /// How everything is now.
    pub fn snapshot(&self) -> ReadinessSnapshot {
        let components = self.lock().clone();
        ReadinessSnapshot { ready: components.values().all(ComponentHealth::permits), components }
    }

    /// Whether every component works that is not optional.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(ComponentHealth::permits)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, ComponentHealth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ComponentHealth {
    const fn permits(&self) -> bool {
        self.ok || self.optional
    }
}

impl ComponentHandle {
    /// The component works. Logged when it did not before.
    pub fn set_ok(&self) {
        if self.replace(&ComponentHealth { ok: true, reason: None, optional: self.optional }) {
            tracing::info!(component = self.name, "ready");
        }
    }

    /// The component does not work, because of `reason`. Logged when it worked or failed otherwise before.
    pub fn set_failed(&self, reason: impl Into<String>) {
        let component = ComponentHealth { optional: self.optional, ..failed(reason) };
        if self.replace(&component) {
            tracing::warn!(component = self.name, reason = component.reason, "not ready");
        }
    }

    /// The component works in part: the reason is shown, and the process stays ready. Logged when that is news.
    pub fn set_degraded(&self, reason: impl Into<String>) {
        let component = ComponentHealth { optional: true, ..failed(reason) };
        if self.replace(&component) {
            tracing::warn!(component = self.name, reason = component.reason, "degraded");
        }
    }

    /// Stores the state and says whether it differs from the one before.
    fn replace(&self, component: &ComponentHealth) -> bool {
        let before = self.registry.lock().insert(self.name, component.clone());
        before.as_ref() != Some(component)
    }
}

fn failed(reason: impl Into<String>) -> ComponentHealth {
    ComponentHealth { ok: false, reason: Some(reason.into()), optional: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_component_is() {
        let readiness = Readiness::new();
        let (store, broker) = (readiness.component("store"), readiness.component("broker"));
        store.set_ok();
        assert!(!readiness.is_ready(), "a component that said nothing is not ready");
        broker.set_ok();
        assert!(readiness.snapshot().ready);
        broker.set_failed("connection refused");
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_snapshot_names_each_component_and_its_reason() {
        let readiness = Readiness::new();
        readiness.component("store").set_ok();
        readiness.component("broker").set_failed("no consumer");
        assert_eq!(
            serde_json::to_value(readiness.snapshot()).unwrap(),
            serde_json::json!({
                "ready": false,
                "components": {"broker": {"ok": false, "reason": "no consumer"}, "store": {"ok": true}}
            })
        );
    }

    #[test]
    fn what_a_process_can_do_without_is_shown_and_has_no_say() {
        let readiness = Readiness::new();
        readiness.component("store").set_ok();
        readiness.optional("broker").set_failed("blocked");
        assert!(readiness.is_ready());
        assert_eq!(
            serde_json::to_value(readiness.snapshot()).unwrap(),
            serde_json::json!({
                "ready": true,
                "components": {
                    "broker": {"ok": false, "reason": "blocked", "optional": true},
                    "store": {"ok": true},
                }
            })
        );
    }

    #[test]
    fn a_component_that_works_in_part_is_shown_and_keeps_the_process_ready() {
        let readiness = Readiness::new();
        let agents = readiness.component("agents");
        agents.set_degraded("not started: a");
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.snapshot().components["agents"].reason.as_deref(),
            Some("not started: a")
        );
        agents.set_failed("no agent has started");
        assert!(!readiness.is_ready(), "it has a say again");
    }

    #[test]
    fn registering_again_keeps_the_state() {
        let readiness = Readiness::new();
        readiness.component("store").set_ok();
        readiness.component("store");
        assert!(readiness.is_ready());
    }
}
