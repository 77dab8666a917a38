//! The slots of a worker: how many runs it can execute, in total and per agent.
//!
//! A claim asks for free slots only, so it never brings more runs than fit. An agent's limits
//! across all workers are enforced by the store; here they are only passed on.

use longhaul_domain::AgentName;
use longhaul_executor::ExecutorDescriptor;
use longhaul_store::AgentSlots;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The slots of a worker; clones share them.
#[derive(Clone)]
pub struct Slots(Arc<SlotsState>);

struct SlotsState {
    free: Mutex<FreeSlots>,
    slot_freed: Notify,
    /// Notified when a run of an agent with a limit across workers ends: another may start.
    limit_freed: Notify,
    /// Agents with a limit across workers.
    limited: BTreeSet<AgentName>,
}

struct FreeSlots {
    total: u32,
    /// Free slots per agent, in the form in which a claim asks for them.
    by_agent: BTreeMap<AgentName, AgentSlots>,
    /// Agents whose executor cannot take runs.
    paused: BTreeSet<AgentName>,
}

impl FreeSlots {
    /// The agents that are not paused and have a free slot.
    fn available(&self) -> impl Iterator<Item = &AgentSlots> {
        let available = |slots: &&AgentSlots| slots.free > 0 && !self.paused.contains(&slots.agent);
        self.by_agent.values().filter(available)
    }
}

/// The agents that can take a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeCapacity {
    /// Every agent has a free slot.
    AllAgents,
    /// Some agents have a free slot; others are full or paused.
    SomeAgents,
    /// No agent has a free slot.
    NoAgent,
}

/// A slot in use; freed on drop.
pub struct Slot {
    slots: Slots,
    agent: AgentName,
}

impl Slots {
    /// `total` slots in all; per agent, as many as its executor's concurrency allows.
    pub fn new<'a>(
        total: u32,
        executors: impl IntoIterator<Item = &'a ExecutorDescriptor>,
    ) -> Self {
        let by_agent: BTreeMap<_, _> = executors
            .into_iter()
            .map(|executor| (executor.agent.name.clone(), agent_slots(executor, total)))
            .collect();
        let limited = by_agent.values().filter(|slots| !slots.limits.is_none());
        let limited = limited.map(|slots| slots.agent.clone()).collect();
        let free = Mutex::new(FreeSlots { total, by_agent, paused: BTreeSet::new() });
        let (slot_freed, limit_freed) = (Notify::new(), Notify::new());
        Self(Arc::new(SlotsState { free, slot_freed, limit_freed, limited }))
    }

    /// The slots to claim for, and the total number of free slots. Empty when there are none.
    pub fn free(&self) -> (Vec<AgentSlots>, u32) {
        let free = self.lock();
        // A claim brings at most `total` runs, so no agent is asked for more.
        let agents = free.available().filter(|_| free.total > 0);
        let slots =
            agents.map(|slots| AgentSlots { free: slots.free.min(free.total), ..slots.clone() });
        (slots.collect(), free.total)
    }

    /// The agents that have a free slot.
    pub fn agents_with_free_slots(&self) -> BTreeSet<AgentName> {
        self.free().0.into_iter().map(|slots| slots.agent).collect()
    }

    /// The agents that can take a run, as a whole.
    pub fn free_capacity(&self) -> FreeCapacity {
        let free = self.lock();
        match free.available().count() {
            _ if free.total == 0 => FreeCapacity::NoAgent,
            0 => FreeCapacity::NoAgent,
            n if n < free.by_agent.len() => FreeCapacity::SomeAgents,
            _ => FreeCapacity::AllAgents,
        }
    }

    /// Takes a slot. Only the claim loop takes slots, so the result of [`free`](Self::free) still
    /// holds after a claim.
    pub fn take(&self, agent: &AgentName) -> Slot {
        let mut free = self.lock();
        free.total = free.total.saturating_sub(1);
        if let Some(slots) = free.by_agent.get_mut(agent) {
            slots.free = slots.free.saturating_sub(1);
        }
        Slot { slots: self.clone(), agent: agent.clone() }
    }

    /// Excludes an agent from claims until it is resumed.
    pub fn pause(&self, agent: &AgentName) {
        self.lock().paused.insert(agent.clone());
    }

    /// Includes an agent in claims again.
    pub fn resume(&self, agent: &AgentName) {
        self.lock().paused.remove(agent);
        self.0.slot_freed.notify_one();
    }

    /// Waits until a slot is freed. A slot freed since the last call counts.
    pub async fn slot_freed(&self) {
        self.0.slot_freed.notified().await;
    }

    /// Waits until a run ends whose agent has a limit across workers. A run that ended since the
    /// last call counts.
    pub async fn limit_freed(&self) {
        self.0.limit_freed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, FreeSlots> {
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
        self.slots.0.slot_freed.notify_one();
        if self.slots.0.limited.contains(&self.agent) {
            self.slots.0.limit_freed.notify_one();
        }
    }
}

fn agent_slots(executor: &ExecutorDescriptor, total: u32) -> AgentSlots {
    AgentSlots {
        agent: executor.agent.name.clone(),
        // At least one, or the agent's tasks would wait forever.
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
    fn an_agent_is_bounded_by_its_own_slots_and_by_the_total() {
        let slots = slots(3, 1, 99);
        let taken = slots.take(&name("a"));
        let (free, limit) = slots.free();
        assert_eq!(limit, 2);
        assert_eq!(free, [AgentSlots::new(name("b"), 2)]);
        assert_eq!(slots.agents_with_free_slots(), BTreeSet::from([name("b")]));
        drop(taken);
        assert_eq!(slots.free().0.len(), 2);
    }

    #[test]
    fn free_capacity_covers_all_some_or_no_agents() {
        let slots = slots(2, 1, 2);
        assert_eq!(slots.free_capacity(), FreeCapacity::AllAgents);
        let one = slots.take(&name("a"));
        assert_eq!(slots.free_capacity(), FreeCapacity::SomeAgents);
        let _two = slots.take(&name("b"));
        assert_eq!(slots.free_capacity(), FreeCapacity::NoAgent);
        drop(one);
        assert_eq!(slots.free_capacity(), FreeCapacity::AllAgents);
    }

    #[test]
    fn a_full_worker_has_nothing_to_claim_for() {
        let slots = slots(1, 1, 1);
        let _taken = slots.take(&name("a"));
        assert_eq!(slots.free(), (vec![], 0));
    }

    #[test]
    fn a_claim_passes_on_limits_and_pinned_version_of_an_agent() {
        let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
        let mut executor = executor("a", 1);
        executor.agent.limits.running = limits;
        executor.pinned = true;
        let (free, _) = Slots::new(4, &[executor]).free();
        let pinned = Some("1.2.3".to_owned());
        assert_eq!(free, [AgentSlots { agent: name("a"), free: 1, limits, pinned }]);
    }

    #[tokio::test]
    async fn a_paused_agent_is_not_claimed_for_until_it_is_resumed() {
        let slots = slots(3, 1, 2);
        slots.pause(&name("a"));
        assert_eq!(
            (slots.free_capacity(), slots.agents_with_free_slots()),
            (FreeCapacity::SomeAgents, BTreeSet::from([name("b")]))
        );
        slots.pause(&name("b"));
        assert_eq!((slots.free_capacity(), slots.free().0), (FreeCapacity::NoAgent, vec![]));
        slots.resume(&name("a"));
        slots.slot_freed().await;
        assert_eq!(slots.agents_with_free_slots(), BTreeSet::from([name("a")]));
    }

    #[tokio::test]
    async fn a_slot_freed_before_the_wait_is_not_missed() {
        let slots = slots(1, 1, 1);
        drop(slots.take(&name("a")));
        slots.slot_freed().await;
    }

    #[tokio::test]
    async fn only_the_end_of_a_run_with_a_limit_frees_the_limit() {
        let mut limited = executor("a", 4);
        limited.agent.limits.running.total = Some(1);
        let slots = Slots::new(4, &[limited, executor("b", 4)]);
        drop(slots.take(&name("b")));
        assert!(slots.limit_freed().now_or_never().is_none());
        drop(slots.take(&name("a")));
        assert!(slots.limit_freed().now_or_never().is_some());
    }
}
