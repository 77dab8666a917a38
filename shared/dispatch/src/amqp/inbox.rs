//! What has arrived and was not asked for yet.
//!
//! Guarantee: it holds nothing for agents that are paused, not even what arrives in the moment of pausing. It holds no more
//! than the prefetch of its consumers. A crash returns its contents to the broker with the connection.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use longhaul_domain::AgentName;
use tokio::sync::Notify;

use crate::Delivery;

/// Between the driver of a source, which fills it, and its user.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
    turned: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Delivery>,
    paused: BTreeSet<AgentName>,
    closed: bool,
}

/// What a look into the inbox found.
enum Look {
    Found(Delivery),
    Nothing,
    Closed,
}

impl Inbox {
    /// Puts a delivery in; when paused or closed it goes back instead.
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
            match self.look() {
                Look::Found(delivery) => return Some(delivery),
                Look::Closed => return None,
                Look::Nothing => arrived.await,
            }
        }
    }

    fn look(&self) -> Look {
        let mut state = self.lock();
        if state.closed {
            return Look::Closed;
        }
        state.waiting.pop_front().map_or(Look::Nothing, Look::Found)
    }

    /// Turns the flow off for these agents, handing back what is here for them, and on for all others.
    pub(super) fn pause(&self, agents: BTreeSet<AgentName>) {
        let mut state = self.lock();
        if state.paused == agents {
            return;
        }
        state.paused = agents;
        let waiting = std::mem::take(&mut state.waiting);
        let (back, waiting): (Vec<_>, _) =
            waiting.into_iter().partition(|delivery| state.paused.contains(&delivery.wake.agent));
        state.waiting = waiting.into();
        drop(state);
        // Before the deliveries go back, so that the driver stops consuming first and does not get them again.
        self.turned.notify_one();
        drop(back);
    }

    /// For whom nothing shall be received.
    pub(super) fn paused(&self) -> BTreeSet<AgentName> {
        self.lock().paused.clone()
    }

    /// Waits until the flow was turned on or off since the last wait. Cancel-safe; one waiter.
    pub(super) async fn turned(&self) {
        self.turned.notified().await;
    }

    /// Hands back everything that is here.
    pub(super) fn clear(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        drop(waiting);
    }

    /// Ends it for good.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.clear();
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeliveryDecision,
        conformance::support::{agent, wake},
    };
    use futures::FutureExt;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    fn delivery(verdicts: &mpsc::UnboundedSender<DeliveryDecision>) -> Delivery {
        let verdicts = verdicts.clone();
        Delivery::new(wake("a", 1), move |verdict| verdicts.send(verdict).unwrap())
    }

    #[tokio::test]
    async fn a_paused_inbox_hands_back_what_is_here_and_what_still_arrives() {
        let (verdicts, mut handed_back) = mpsc::unbounded_channel();
        let inbox = Inbox::default();
        inbox.push(delivery(&verdicts));
        inbox.pause(BTreeSet::from([agent("a"), agent("b")]));
        inbox.push(delivery(&verdicts));
        assert!(inbox.next().now_or_never().is_none());
        for _ in 0..2 {
            assert_eq!(handed_back.recv().await, Some(DeliveryDecision::HandedBack));
        }
        inbox.pause(BTreeSet::from([agent("b")]));
        inbox.push(delivery(&verdicts));
        inbox.next().await.unwrap().ack();
        assert_eq!(handed_back.recv().await, Some(DeliveryDecision::Done));
    }

    #[tokio::test]
    async fn a_close_wakes_whoever_waits() {
        let inbox = Arc::new(Inbox::default());
        let (next, ()) = tokio::join!(inbox.next(), async { inbox.close() });
        assert!(next.is_none());
    }
}
