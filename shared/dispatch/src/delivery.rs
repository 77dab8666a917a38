//! A hint in the hands of a worker.
//!
//! Guarantee: it is either acknowledged or goes back to where others can take it; forgetting it, also by a panic or a
//! crash, is handing it back.

use std::fmt;

use crate::WakeHint;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryDecision {
    /// It was dealt with; it is gone.
    Done,
    /// It goes back to its queue.
    HandedBack,
}

type Settle = Box<dyn FnOnce(DeliveryDecision) + Send>;

/// A wake-up received. Acknowledge it when the store has been asked; drop it to let another worker have it.
pub struct Delivery {
    /// What it says.
    pub wake: WakeHint,
    hint_count: u32,
    settle: Option<Settle>,
}

impl Delivery {
    /// For dispatchers: a delivery that calls `settle` once, and that must not block.
    pub fn new(wake: WakeHint, settle: impl FnOnce(DeliveryDecision) + Send + 'static) -> Self {
        Self { wake, hint_count: 1, settle: Some(Box::new(settle)) }
    }

    /// For dispatchers: the same, of so many hints for its agent that were merged into this one.
    #[must_use]
    pub fn with_hint_count(mut self, hints: u32) -> Self {
        self.hint_count = hints.max(1);
        self
    }

    /// How many hints for its agent were merged into this one, itself included. There may be work for as many workers.
    pub const fn hint_count(&self) -> u32 {
        self.hint_count
    }

    /// The wake-up was dealt with. Does not wait for the broker; should it not hear of this, the hint comes again.
    pub fn ack(mut self) {
        self.settle(DeliveryDecision::Done);
    }

    fn settle(&mut self, verdict: DeliveryDecision) {
        if let Some(settle) = self.settle.take() {
            settle(verdict);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle(DeliveryDecision::HandedBack);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("wake", &self.wake).finish_non_exhaustive()
    }
}
