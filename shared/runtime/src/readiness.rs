//! Readiness of a process and its components, for `/readyz`.
//!
//! A process is ready when every required component is; a component that has not reported yet is
//! not. Optional components are shown, but do not count. The state is in memory only: a restarted
//! process starts unready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// The readiness registry of a process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, ComponentHealth>>>);

/// The health of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    /// Set if the component works.
    pub ok: bool,
    /// The reason why it does not. Public, so without addresses and secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Set if the process is ready without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// The body of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessSnapshot {
    /// Set if every required component works.
    pub ready: bool,
    /// The components by name.
    pub components: BTreeMap<&'static str, ComponentHealth>,
}

/// A handle by which a component reports its health; clones report the same component.
#[derive(Debug, Clone)]
pub struct ComponentHandle {
    registry: Readiness,
    name: &'static str,
    optional: bool,
}

impl Readiness {
    /// Creates a registry without components, which is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a required component, which is not ready until it reports. A known name returns
    /// the existing component.
    pub fn component(&self, name: &'static str) -> ComponentHandle {
        self.register(name, false)
    }

    /// Registers an optional component: shown like the others, but not counted.
    pub fn optional(&self, name: &'static str) -> ComponentHandle {
        self.register(name, true)
    }

    fn register(&self, name: &'static str, optional: bool) -> ComponentHandle {
        self.lock()
            .entry(name)
            .or_insert_with(|| ComponentHealth { optional, ..failed("starting") });
        ComponentHandle { registry: self.clone(), name, optional }
    }

    /// The current state of all components.
    pub fn snapshot(&self) -> ReadinessSnapshot {
        let components = self.lock().clone();
        ReadinessSnapshot { ready: components.values().all(ComponentHealth::permits), components }
    }

    /// Tells whether every required component works.
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
    /// Reports that the component works. Logged on change.
    pub fn set_ok(&self) {
        if self.replace(&ComponentHealth { ok: true, reason: None, optional: self.optional }) {
            tracing::info!(component = self.name, "ready");
        }
    }

    /// Reports that the component does not work. Logged on change.
    pub fn set_failed(&self, reason: impl Into<String>) {
        let component = ComponentHealth { optional: self.optional, ..failed(reason) };
        if self.replace(&component) {
            tracing::warn!(component = self.name, reason = component.reason, "not ready");
        }
    }

    /// Reports that the component works in part: the reason is shown, and the process stays ready.
    /// Logged on change.
    pub fn set_degraded(&self, reason: impl Into<String>) {
        // A degraded component counts as optional until its next report.
        let component = ComponentHealth { optional: true, ..failed(reason) };
        if self.replace(&component) {
            tracing::warn!(component = self.name, reason = component.reason, "degraded");
        }
    }

    /// Stores the state and tells whether it changed.
    fn replace(&self, component: &ComponentHealth) -> bool {
        // Compare with the previous state, so that a repeated report is logged once.
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
    fn a_process_is_ready_when_every_required_component_is() {
        let readiness = Readiness::new();
        let (store, broker) = (readiness.component("store"), readiness.component("broker"));
        store.set_ok();
        assert!(!readiness.is_ready(), "a component that has not reported is not ready");
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
    fn an_optional_component_is_shown_and_does_not_count() {
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
    fn a_degraded_component_is_shown_and_keeps_the_process_ready() {
        let readiness = Readiness::new();
        let agents = readiness.component("agents");
        agents.set_degraded("not started: a");
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.snapshot().components["agents"].reason.as_deref(),
            Some("not started: a")
        );
        agents.set_failed("no agent has started");
        assert!(!readiness.is_ready(), "a failed component counts again");
    }

    #[test]
    fn registering_again_keeps_the_state() {
        let readiness = Readiness::new();
        readiness.component("store").set_ok();
        readiness.component("store");
        assert!(readiness.is_ready());
    }
}
