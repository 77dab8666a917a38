//! Hints, and their deliveries to workers.
//!
//! Guarantee: a delivery is either acknowledged or requeued for other workers. Dropping it, even by
//! a panic or crash, requeues it.

use std::fmt;

use longhaul_domain::{AgentName, TaskKey};
use longhaul_runtime::TraceContext;

/// A hint that there is work for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeHint {
    /// The agent, which names the queue.
    pub agent: AgentName,
    /// The task that caused it. A worker may try to claim it first; it may not be the next in
    /// order, or be gone.
    pub task: TaskKey,
    /// The trace of the request or run that caused it.
    pub trace: Option<TraceContext>,
}

/// The decision on a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryDecision {
    /// Handled; remove it.
    Ack,
    /// Not handled; return it to its queue.
    Requeue,
}

type OnSettle = Box<dyn FnOnce(DeliveryDecision) + Send>;

/// A received hint. Acknowledge it after claiming from the store; drop it to requeue it for another
/// worker.
pub struct Delivery {
    /// The hint.
    pub wake: WakeHint,
    hint_count: u32,
    settle: Option<OnSettle>,
}

impl Delivery {
    /// Creates a delivery, for dispatchers. `settle` is called once and must not block.
    pub fn new(wake: WakeHint, settle: impl FnOnce(DeliveryDecision) + Send + 'static) -> Self {
        Self { wake, hint_count: 1, settle: Some(Box::new(settle)) }
    }

    /// Sets the number of coalesced hints, for dispatchers.
    #[must_use]
    pub fn with_hint_count(mut self, hints: u32) -> Self {
        self.hint_count = hints.max(1);
        self
    }

    /// The number of hints coalesced into this one, itself included: there may be work for as many
    /// workers.
    pub const fn hint_count(&self) -> u32 {
        self.hint_count
    }

    /// Acknowledges the hint. Does not wait for the broker; if the acknowledgement is lost, the
    /// hint is delivered again.
    pub fn ack(mut self) {
        self.settle(DeliveryDecision::Ack);
    }

    fn settle(&mut self, decision: DeliveryDecision) {
        if let Some(settle) = self.settle.take() {
            settle(decision);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle(DeliveryDecision::Requeue);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("wake", &self.wake).finish_non_exhaustive()
    }
}
