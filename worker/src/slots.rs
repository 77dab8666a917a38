//! How many runs a worker can take: in all, and of each agent.
//!
//! A slot is taken before a run is claimed, so a claim never brings more than there is room for.

use longhaul_domain::AgentName;
use longhaul_store::AgentSlots;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// The slots of a worker; clones share them.
#[derive(Clone)]
pub struct Slots(Arc<Inner>);

struct Inner {
    free: Mutex<Free>,
    freed: Notify,
}

struct Free {
    total: u32,
    by_agent: BTreeMap<AgentName, u32>,
}

/// Who has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Every agent.
    All,
    /// Some agents, while others are at their limit.
    Some,
    /// No agent.
    None,
}

/// A taken slot; free again when it is dropped.
pub struct Slot {
    slots: Slots,
    agent: AgentName,
}

impl Slots {
    /// So many in all, and at most so many of each agent.
    pub fn new(total: u32, by_agent: impl IntoIterator<Item = (AgentName, u32)>) -> Self {
        let by_agent = by_agent.into_iter().map(|(name, n)| (name, n.clamp(1, total))).collect();
        let free = Mutex::new(Free { total, by_agent });
        Self(Arc::new(Inner { free, freed: Notify::new() }))
    }

    /// What can be claimed now: the agents with room, and the most in all. Empty when there is no room.
    pub fn free(&self) -> (Vec<AgentSlots>, u32) {
        let free = self.lock();
        let agents = free.by_agent.iter().filter(|(_, n)| **n > 0 && free.total > 0);
        let slots = agents
            .map(|(agent, n)| AgentSlots { agent: agent.clone(), free: (*n).min(free.total) })
            .collect();
        (slots, free.total)
    }

    /// Who has room now.
    pub fn room(&self) -> Room {
        let free = self.lock();
        match free.by_agent.values().filter(|n| **n > 0).count() {
            _ if free.total == 0 => Room::None,
            0 => Room::None,
            n if n < free.by_agent.len() => Room::Some,
            _ => Room::All,
        }
    }

    /// Takes a slot. Only the claim loop takes, so what [`free`](Self::free) said still holds.
    pub fn take(&self, agent: &AgentName) -> Slot {
        let mut free = self.lock();
        free.total = free.total.saturating_sub(1);
        if let Some(n) = free.by_agent.get_mut(agent) {
            *n = n.saturating_sub(1);
        }
        Slot { slots: self.clone(), agent: agent.clone() }
    }

    /// Waits until a slot is freed. One that was freed since the last call counts.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut free = self.slots.lock();
        free.total += 1;
        if let Some(n) = free.by_agent.get_mut(&self.agent) {
            *n += 1;
        }
        drop(free);
        self.slots.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    #[test]
    fn an_agent_is_bounded_by_itself_and_by_the_total() {
        let slots = Slots::new(3, [(name("a"), 1), (name("b"), 99)]);
        let taken = slots.take(&name("a"));
        let (free, limit) = slots.free();
        assert_eq!(limit, 2);
        assert_eq!(free, [AgentSlots { agent: name("b"), free: 2 }]);
        drop(taken);
        assert_eq!(slots.free().0.len(), 2);
    }

    #[test]
    fn room_is_told_of_all_of_some_and_of_none() {
        let slots = Slots::new(2, [(name("a"), 1), (name("b"), 2)]);
        assert_eq!(slots.room(), Room::All);
        let one = slots.take(&name("a"));
        assert_eq!(slots.room(), Room::Some);
        let _two = slots.take(&name("b"));
        assert_eq!(slots.room(), Room::None);
        drop(one);
        assert_eq!(slots.room(), Room::All);
    }

    #[test]
    fn a_full_worker_offers_nothing() {
        let slots = Slots::new(1, [(name("a"), 1), (name("b"), 1)]);
        let _taken = slots.take(&name("a"));
        assert_eq!(slots.free(), (vec![], 0));
    }

    #[tokio::test]
    async fn a_slot_freed_before_the_wait_is_not_missed() {
        let slots = Slots::new(1, [(name("a"), 1)]);
        drop(slots.take(&name("a")));
        slots.freed().await;
    }
}
