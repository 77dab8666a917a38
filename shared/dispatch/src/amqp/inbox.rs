//! Deliveries of a source that have arrived and wait for its user.
//!
//! Guarantee: it holds nothing for paused agents, not even deliveries that arrive while pausing,
//! and no more than the prefetch of its consumers. A crash returns its contents to the broker with
//! the connection.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use longhaul_domain::AgentName;
use tokio::sync::Notify;

use crate::Delivery;

/// The inbox between the driver of a source and its user.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    arrived: Notify,
    pause_changed: Notify,
}

#[derive(Default)]
struct InboxState {
    waiting: VecDeque<Delivery>,
    paused: BTreeSet<AgentName>,
    closed: bool,
}

/// The result of polling the inbox.
enum InboxPoll {
    Found(Delivery),
    Empty,
    Closed,
}

impl Inbox {
    /// Adds a delivery, or requeues it if the inbox is closed or its agent paused.
    pub(super) fn push(&self, delivery: Delivery) {
        let mut state = self.lock();
        if !state.closed && !state.paused.contains(&delivery.wake.agent) {
            state.waiting.push_back(delivery);
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// The next delivery, or `None` once closed. Cancel-safe.
    pub(super) async fn next(&self) -> Option<Delivery> {
        loop {
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            match self.poll() {
                InboxPoll::Found(delivery) => return Some(delivery),
                InboxPoll::Closed => return None,
                InboxPoll::Empty => arrived.await,
            }
        }
    }

    fn poll(&self) -> InboxPoll {
        let mut state = self.lock();
        if state.closed {
            return InboxPoll::Closed;
        }
        state.waiting.pop_front().map_or(InboxPoll::Empty, InboxPoll::Found)
    }

    /// Pauses exactly these agents and requeues their deliveries.
    pub(super) fn pause(&self, agents: BTreeSet<AgentName>) {
        let mut state = self.lock();
        if state.paused == agents {
            return;
        }
        state.paused = agents;
        let waiting = std::mem::take(&mut state.waiting);
        let (requeued, waiting): (Vec<_>, _) =
            waiting.into_iter().partition(|delivery| state.paused.contains(&delivery.wake.agent));
        state.waiting = waiting.into();
        drop(state);
        // Notify before requeueing, so that the driver stops consuming before it could receive them
        // again.
        self.pause_changed.notify_one();
        drop(requeued);
    }

    /// The paused agents.
    pub(super) fn paused(&self) -> BTreeSet<AgentName> {
        self.lock().paused.clone()
    }

    /// Waits for a change of the paused agents since the last wait. Cancel-safe; supports one
    /// waiter.
    pub(super) async fn pause_changed(&self) {
        self.pause_changed.notified().await;
    }

    /// Requeues all deliveries.
    pub(super) fn clear(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        drop(waiting);
    }

    /// Closes the inbox and requeues all deliveries.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.clear();
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeliveryDecision,
        testing::{agent, wake},
    };
    use futures::FutureExt;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    fn delivery(decisions: &mpsc::UnboundedSender<DeliveryDecision>) -> Delivery {
        let decisions = decisions.clone();
        Delivery::new(wake("a", 1), move |decision| decisions.send(decision).unwrap())
    }

    #[tokio::test]
    async fn a_paused_inbox_requeues_present_and_later_deliveries() {
        let (decisions, mut decided) = mpsc::unbounded_channel();
        let inbox = Inbox::default();
        inbox.push(delivery(&decisions));
        inbox.pause(BTreeSet::from([agent("a"), agent("b")]));
        inbox.push(delivery(&decisions));
        assert!(inbox.next().now_or_never().is_none());
        for _ in 0..2 {
            assert_eq!(decided.recv().await, Some(DeliveryDecision::Requeue));
        }
        inbox.pause(BTreeSet::from([agent("b")]));
        inbox.push(delivery(&decisions));
        inbox.next().await.unwrap().ack();
        assert_eq!(decided.recv().await, Some(DeliveryDecision::Ack));
    }

    #[tokio::test]
    async fn a_close_wakes_the_waiter() {
        let inbox = Arc::new(Inbox::default());
        let (next, ()) = tokio::join!(inbox.next(), async { inbox.close() });
        assert!(next.is_none());
    }
}
