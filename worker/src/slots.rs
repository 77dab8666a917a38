//! How many runs a worker can take: in all, and of each agent.
//!
//! A slot is taken before a run is claimed, so a claim never brings more than there is room for. What an agent allows over all
//! workers together is for the store to keep; here it is only remembered.

use longhaul_domain::AgentName;
use longhaul_executor::ExecutorDescriptor;
use longhaul_store::AgentSlots;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// The slots of a worker; clones share them.
#[derive(Clone)]
pub struct Slots(Arc<Inner>);

struct Inner {
    free: Mutex<Free>,
    freed: Notify,
    /// Rung for agents whose runs are limited over all workers: one that ends makes room for one that waits.
    room_made: Notify,
    limited: BTreeSet<AgentName>,
}

struct Free {
    total: u32,
    /// Free slots, and what is asked for with them.
    by_agent: BTreeMap<AgentName, AgentSlots>,
    /// Agents whose executor cannot take runs now.
    paused: BTreeSet<AgentName>,
}

impl Free {
    /// The agents with room.
    fn with_room(&self) -> impl Iterator<Item = &AgentSlots> {
        let room = |slots: &&AgentSlots| slots.free > 0 && !self.paused.contains(&slots.agent);
        self.by_agent.values().filter(room)
    }
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
    /// So many in all, and of each agent as many as its executor takes.
    pub fn new<'a>(
        total: u32,
        executors: impl IntoIterator<Item = &'a ExecutorDescriptor>,
    ) -> Self {
        let by_agent: BTreeMap<_, _> = executors
            .into_iter()
            .map(|executor| (executor.agent.name.clone(), slots_of(executor, total)))
            .collect();
        let limited = by_agent.values().filter(|slots| !slots.limits.is_none());
        let limited = limited.map(|slots| slots.agent.clone()).collect();
        let free = Mutex::new(Free { total, by_agent, paused: BTreeSet::new() });
        Self(Arc::new(Inner { free, freed: Notify::new(), room_made: Notify::new(), limited }))
    }

    /// What can be claimed now: the agents with room, and the most in all. Empty when there is no room.
    pub fn free(&self) -> (Vec<AgentSlots>, u32) {
        let free = self.lock();
        let agents = free.with_room().filter(|_| free.total > 0);
        let slots =
            agents.map(|slots| AgentSlots { free: slots.free.min(free.total), ..slots.clone() });
        (slots.collect(), free.total)
    }

    /// The agents that have room now.
    pub fn open(&self) -> BTreeSet<AgentName> {
        self.free().0.into_iter().map(|slots| slots.agent).collect()
    }

    /// Who has room now.
    pub fn room(&self) -> Room {
        let free = self.lock();
        match free.with_room().count() {
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
        if let Some(slots) = free.by_agent.get_mut(agent) {
            slots.free = slots.free.saturating_sub(1);
        }
        Slot { slots: self.clone(), agent: agent.clone() }
    }

    /// Claims nothing more for an agent until it is resumed.
    pub fn pause(&self, agent: &AgentName) {
        self.lock().paused.insert(agent.clone());
    }

    /// Claims for an agent again.
    pub fn resume(&self, agent: &AgentName) {
        self.lock().paused.remove(agent);
        self.0.freed.notify_one();
    }

    /// Waits until a slot is freed. One that was freed since the last call counts.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// Waits until a run of an agent has ended whose runs are limited over all workers together. One that ended since the
    /// last call counts.
    pub async fn room_made(&self) {
        self.0.room_made.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut free = self.slots.lock();
        free.total += 1;
        if let Some(slots) = free.by_agent.get_mut(&self.agent) {
            slots.free += 1;
        }
        drop(free);
        self.slots.0.freed.notify_one();
        if self.slots.0.limited.contains(&self.agent) {
            self.slots.0.room_made.notify_one();
        }
    }
}

fn slots_of(executor: &ExecutorDescriptor, total: u32) -> AgentSlots {
    AgentSlots {
        agent: executor.agent.name.clone(),
        free: executor.concurrency.unwrap_or(total).clamp(1, total),
        limits: executor.agent.limits.running,
        pinned: executor.pinned.then(|| executor.agent.version.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use longhaul_domain::ConcurrencyLimits;

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    fn executor(name: &str, concurrency: u32) -> ExecutorDescriptor {
        let descriptor = ExecutorDescriptor::text(name, "1.2.3", "").unwrap();
        ExecutorDescriptor { concurrency: Some(concurrency), ..descriptor }
    }

    fn slots(total: u32, a: u32, b: u32) -> Slots {
        Slots::new(total, &[executor("a", a), executor("b", b)])
    }

    #[test]
    fn an_agent_is_bounded_by_itself_and_by_the_total() {
        let slots = slots(3, 1, 99);
        let taken = slots.take(&name("a"));
        let (free, limit) = slots.free();
        assert_eq!(limit, 2);
        assert_eq!(free, [AgentSlots::new(name("b"), 2)]);
        assert_eq!(slots.open(), BTreeSet::from([name("b")]));
        drop(taken);
        assert_eq!(slots.free().0.len(), 2);
    }

    #[test]
    fn room_is_told_of_all_of_some_and_of_none() {
        let slots = slots(2, 1, 2);
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
        let slots = slots(1, 1, 1);
        let _taken = slots.take(&name("a"));
        assert_eq!(slots.free(), (vec![], 0));
    }

    #[test]
    fn limits_and_version_of_an_agent_are_told_to_the_store() {
        let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
        let mut executor = executor("a", 1);
        executor.agent.limits.running = limits;
        executor.pinned = true;
        let (free, _) = Slots::new(4, &[executor]).free();
        let pinned = Some("1.2.3".to_owned());
        assert_eq!(free, [AgentSlots { agent: name("a"), free: 1, limits, pinned }]);
    }

    #[tokio::test]
    async fn a_paused_agent_is_offered_nothing_until_it_is_resumed() {
        let slots = slots(3, 1, 2);
        slots.pause(&name("a"));
        assert_eq!((slots.room(), slots.open()), (Room::Some, BTreeSet::from([name("b")])));
        slots.pause(&name("b"));
        assert_eq!((slots.room(), slots.free().0), (Room::None, vec![]));
        slots.resume(&name("a"));
        slots.freed().await;
        assert_eq!(slots.open(), BTreeSet::from([name("a")]));
    }

    #[tokio::test]
    async fn a_slot_freed_before_the_wait_is_not_missed() {
        let slots = slots(1, 1, 1);
        drop(slots.take(&name("a")));
        slots.freed().await;
    }

    #[tokio::test]
    async fn only_the_end_of_a_limited_run_makes_room_elsewhere() {
        let mut limited = executor("a", 4);
        limited.agent.limits.running.total = Some(1);
        let slots = Slots::new(4, &[limited, executor("b", 4)]);
        drop(slots.take(&name("b")));
        assert!(slots.room_made().now_or_never().is_none());
        drop(slots.take(&name("a")));
        assert!(slots.room_made().now_or_never().is_some());
    }
}
