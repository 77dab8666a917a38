//! Hints that wait in the process for the broker.
//!
//! Guarantee: bounded, and adding a hint never waits. Waiting hints of one agent are coalesced into
//! one message that carries their number: a message says that there is work, not which. Messages in
//! flight are never merged into, because their receiver may have looked before the new work was
//! committed. A crash loses hints only; the tasks are in the store.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use longhaul_domain::AgentName;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{WakeHint, Waker, counters::Counters};

/// A hint to publish.
pub(super) struct PendingHint {
    pub(super) wake: WakeHint,
    /// The number of hints coalesced into this one.
    pub(super) hint_count: u32,
    /// The number of earlier attempts.
    pub(super) attempt: u8,
    /// The time of the wake-up; a hint expires after the message TTL.
    pub(super) created_at: Instant,
}

/// The request of a source to publish a probe to its own queue.
pub(super) struct ProbeRequest {
    pub(super) queue: String,
    /// Notified when the broker has confirmed the probe.
    pub(super) confirmed: oneshot::Sender<()>,
}

/// The entrance of the outbox.
pub(super) struct Outbox {
    wakes: mpsc::Sender<PendingHint>,
    counters: Arc<Counters>,
}

impl Outbox {
    /// Creates an outbox: the entrance, and the receiver for the publisher.
    pub(super) fn new(
        capacity: usize,
        counters: Arc<Counters>,
    ) -> (Self, mpsc::Receiver<PendingHint>) {
        let (wakes, hints) = mpsc::channel(capacity.max(1));
        (Self { wakes, counters }, hints)
    }
}

impl Waker for Outbox {
    fn wake(&self, wake: WakeHint) {
        let hint = PendingHint { wake, hint_count: 1, attempt: 0, created_at: Instant::now() };
        if self.wakes.try_send(hint).is_err() {
            self.counters.dropped.increment();
        }
    }
}

/// Maximum number of unconfirmed messages per agent while further hints wait. More than one, so
/// that hints do not always wait for the broker's disk; few, so that hints coalesce under load.
const MAX_IN_FLIGHT_PER_AGENT: usize = 2;

/// The waiting hints, coalesced to one per agent.
#[derive(Default)]
pub(super) struct CoalescingQueue {
    waiting: HashMap<AgentName, PendingHint>,
    // Agents in the order in which their hints began to wait.
    order: VecDeque<AgentName>,
    in_flight: HashMap<AgentName, usize>,
}

impl CoalescingQueue {
    /// Adds a hint; `false` if it was merged into a waiting one.
    pub(super) fn push(&mut self, hint: PendingHint) -> bool {
        if let Some(waiting) = self.waiting.get_mut(&hint.wake.agent) {
            waiting.hint_count = waiting.hint_count.saturating_add(hint.hint_count);
            waiting.attempt = waiting.attempt.min(hint.attempt);
            waiting.created_at = waiting.created_at.max(hint.created_at);
            return false;
        }
        self.order.push_back(hint.wake.agent.clone());
        self.waiting.insert(hint.wake.agent.clone(), hint);
        true
    }

    /// Takes the next hint that may be published. It is in flight until [`settled`](Self::settled).
    pub(super) fn pop(&mut self) -> Option<PendingHint> {
        let may_publish = |agent: &AgentName| {
            self.in_flight.get(agent).is_none_or(|count| *count < MAX_IN_FLIGHT_PER_AGENT)
        };
        let index = self.order.iter().position(may_publish)?;
        let agent = self.order.remove(index)?;
        let hint = self.waiting.remove(&agent)?;
        *self.in_flight.entry(agent).or_default() += 1;
        Some(hint)
    }

    /// Records that a message for this agent is no longer in flight.
    pub(super) fn settled(&mut self, agent: &AgentName) {
        if let Some(in_flight) = self.in_flight.get_mut(agent) {
            *in_flight = in_flight.saturating_sub(1);
            if *in_flight == 0 {
                self.in_flight.remove(agent);
            }
        }
    }

    /// Records that no message is in flight, after the connection was lost.
    pub(super) fn reset_in_flight(&mut self) {
        self.in_flight.clear();
    }

    /// Tells whether no hint waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of waiting hints, coalesced ones included.
    pub(super) fn hint_count(&self) -> usize {
        self.waiting.values().map(|hint| hint.hint_count as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agent, wake};

    fn hint(name: &str, task: u128) -> PendingHint {
        PendingHint {
            wake: wake(name, task),
            hint_count: 1,
            attempt: 0,
            created_at: Instant::now(),
        }
    }

    fn popped(queue: &mut CoalescingQueue) -> Option<(AgentName, u32)> {
        queue.pop().map(|hint| (hint.wake.agent, hint.hint_count))
    }

    #[test]
    fn waiting_hints_of_one_agent_become_one_message_with_their_number() {
        let mut queue = CoalescingQueue::default();
        assert!(queue.push(hint("a", 1)));
        assert!(!queue.push(hint("a", 2)));
        assert!(queue.push(hint("b", 3)));
        assert!(!queue.push(hint("a", 4)));
        assert_eq!(queue.hint_count(), 4);
        assert_eq!(popped(&mut queue), Some((agent("a"), 3)));
        assert_eq!(popped(&mut queue), Some((agent("b"), 1)));
        assert!(queue.is_empty() && popped(&mut queue).is_none());
    }

    #[test]
    fn messages_in_flight_are_bounded_per_agent_and_never_merged_into() {
        let mut queue = CoalescingQueue::default();
        for task in 0..2 {
            queue.push(hint("a", task));
            assert_eq!(popped(&mut queue), Some((agent("a"), 1)));
        }
        queue.push(hint("a", 2));
        queue.push(hint("a", 3));
        assert_eq!(popped(&mut queue), None, "the maximum is in flight");
        queue.push(hint("b", 4));
        assert_eq!(popped(&mut queue), Some((agent("b"), 1)), "other agents are not held up");
        queue.settled(&agent("a"));
        assert_eq!(popped(&mut queue), Some((agent("a"), 2)));
    }
}
