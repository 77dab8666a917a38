//! Hints that wait for their turn to be sent, at most one per agent.
//!
//! Guarantee: after the last hint for an agent was put in, one more message for that agent leaves, which says for how many hints
//! it stands. A message says that there is work, not which, so what would only repeat it is merged into it. What is in the air
//! already is never merged into: whoever received it may have looked before the work was there. A crash loses hints only.

use std::collections::{HashMap, VecDeque};

use longhaul_domain::AgentName;

use super::outbox::Outgoing;

/// Messages of one agent that may be unconfirmed at a time while further hints wait. More than one, so that hints do not
/// always wait for the disk of the broker; few, so that under load many become one.
const ALOFT: usize = 2;

/// The hints that wait.
#[derive(Default)]
pub(super) struct Merging {
    waiting: HashMap<AgentName, Outgoing>,
    // In the order in which they began to wait.
    order: VecDeque<AgentName>,
    aloft: HashMap<AgentName, usize>,
}

impl Merging {
    /// Puts a hint in; `false`: it was merged into one that waits.
    pub(super) fn put(&mut self, outgoing: Outgoing) -> bool {
        if let Some(waits) = self.waiting.get_mut(&outgoing.wake.agent) {
            waits.hint_count = waits.hint_count.saturating_add(outgoing.hint_count);
            waits.attempt = waits.attempt.min(outgoing.attempt);
            waits.since = waits.since.max(outgoing.since);
            return false;
        }
        self.order.push_back(outgoing.wake.agent.clone());
        self.waiting.insert(outgoing.wake.agent.clone(), outgoing);
        true
    }

    /// The next hint that may be sent now. It counts as in the air until it is said to have [`landed`](Self::landed).
    pub(super) fn take(&mut self) -> Option<Outgoing> {
        let room = |agent: &AgentName| self.aloft.get(agent).is_none_or(|aloft| *aloft < ALOFT);
        let place = self.order.iter().position(room)?;
        let agent = self.order.remove(place)?;
        let outgoing = self.waiting.remove(&agent)?;
        *self.aloft.entry(agent).or_default() += 1;
        Some(outgoing)
    }

    /// A message for this agent is not in the air any more.
    pub(super) fn landed(&mut self, agent: &AgentName) {
        if let Some(aloft) = self.aloft.get_mut(agent) {
            *aloft = aloft.saturating_sub(1);
            if *aloft == 0 {
                self.aloft.remove(agent);
            }
        }
    }

    /// Nothing is in the air any more.
    pub(super) fn all_landed(&mut self) {
        self.aloft.clear();
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// For how many hints those stand that wait.
    pub(super) fn hints(&self) -> usize {
        self.waiting.values().map(|outgoing| outgoing.hint_count as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::support::{agent, wake};
    use tokio::time::Instant;

    fn hint(name: &str, task: u128) -> Outgoing {
        Outgoing { wake: wake(name, task), hint_count: 1, attempt: 0, since: Instant::now() }
    }

    fn taken(merging: &mut Merging) -> Option<(AgentName, u32)> {
        merging.take().map(|outgoing| (outgoing.wake.agent, outgoing.hint_count))
    }

    #[test]
    fn hints_of_one_agent_are_one_message_that_says_how_many_they_are() {
        let mut merging = Merging::default();
        assert!(merging.put(hint("a", 1)));
        assert!(!merging.put(hint("a", 2)));
        assert!(merging.put(hint("b", 3)));
        assert!(!merging.put(hint("a", 4)));
        assert_eq!(merging.hints(), 4);
        assert_eq!(taken(&mut merging), Some((agent("a"), 3)));
        assert_eq!(taken(&mut merging), Some((agent("b"), 1)));
        assert!(merging.is_empty() && taken(&mut merging).is_none());
    }

    #[test]
    fn what_comes_after_a_message_has_left_gets_one_of_its_own() {
        let mut merging = Merging::default();
        for task in 0..2 {
            merging.put(hint("a", task));
            assert_eq!(taken(&mut merging), Some((agent("a"), 1)));
        }
        merging.put(hint("a", 2));
        merging.put(hint("a", 3));
        assert_eq!(taken(&mut merging), None, "enough are in the air");
        merging.put(hint("b", 4));
        assert_eq!(taken(&mut merging), Some((agent("b"), 1)), "which holds nobody else up");
        merging.landed(&agent("a"));
        assert_eq!(taken(&mut merging), Some((agent("a"), 2)));
    }
}
