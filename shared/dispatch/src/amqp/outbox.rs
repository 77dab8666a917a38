//! What waits in the process for the broker.
//!
//! Guarantee: bounded, and putting something in never waits. A crash loses what is in it; the tasks are in the store.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{WakeHint, Waker, counters::Counters};

/// A hint on its way.
pub(super) struct Outgoing {
    pub(super) wake: WakeHint,
    /// How many hints it stands for.
    pub(super) hint_count: u32,
    /// Tries before this one.
    pub(super) attempt: u8,
    /// When it was handed in; it is worthless once it is older than hints may be.
    pub(super) since: Instant,
}

/// A request to send a proof to a queue that the asker consumes.
pub(super) struct ProofRequest {
    pub(super) queue: String,
    /// Told when the broker has taken the proof over.
    pub(super) taken: oneshot::Sender<()>,
}

/// The way in.
pub(super) struct Outbox {
    wakes: mpsc::Sender<Outgoing>,
    counters: Arc<Counters>,
}

impl Outbox {
    /// The way in, and the end from which the publisher takes.
    pub(super) fn new(
        capacity: usize,
        counters: Arc<Counters>,
    ) -> (Self, mpsc::Receiver<Outgoing>) {
        let (wakes, outgoing) = mpsc::channel(capacity.max(1));
        (Self { wakes, counters }, outgoing)
    }
}

impl Waker for Outbox {
    fn wake(&self, wake: WakeHint) {
        let outgoing = Outgoing { wake, hint_count: 1, attempt: 0, since: Instant::now() };
        if self.wakes.try_send(outgoing).is_err() {
            self.counters.dropped.one();
        }
    }
}
