//! The claim loop: claims runs for free slots.
//!
//! The loop claims after a wake-up, when a slot is freed during a backlog, when a run ends whose
//! agent has a limit, and on a probe timer. So a lost wake-up costs latency, never a task. Wake-ups
//! for agents without a free slot are left to other workers; a freed slot asks the store first.
//!
//! A claim whose response is lost is released by reconciliation.

use crate::{
    run::{AgentExecutor, RunEnv, run},
    slots::{FreeCapacity, Slots},
};
use futures::FutureExt;
use longhaul_dispatch::{Delivery, WakeSource};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_runtime::{Backoff, TaskSet, readiness::ComponentHandle};
use longhaul_store::{AgentSlots, ClaimRequest, ClaimedRun};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Longest time that a claim in flight may delay a drain. Runs that it brings later are offered to
/// others when the worker deregisters.
const DRAIN_CLAIM_TIMEOUT: Duration = Duration::from_secs(2);

/// The claim loop of one worker.
pub struct ClaimLoop {
    pub env: Arc<RunEnv>,
    pub agents: BTreeMap<AgentName, Arc<AgentExecutor>>,
    pub slots: Slots,
    pub runs: TaskSet,
    pub worker: WorkerId,
    pub probe_interval: Duration,
    pub readiness: ComponentHandle,
}

/// The result of one claim.
#[derive(Debug, Default)]
struct ClaimRound {
    claimed_by_agent: BTreeMap<AgentName, u32>,
    /// The claim filled every slot that it asked for: there may be more runs.
    batch_full: bool,
    /// The claim filled all free slots of an agent: there may be more runs of that one.
    agent_full: bool,
}

impl ClaimRound {
    /// The result of a claim for these slots, with at most `limit` runs.
    fn new(claimed: &[ClaimedRun], slots: &[AgentSlots], limit: u32) -> Self {
        let mut claimed_by_agent = BTreeMap::<AgentName, u32>::new();
        for claimed in claimed {
            *claimed_by_agent.entry(claimed.agent.clone()).or_default() += 1;
        }
        // `None < Some(_)`: an agent without a claimed run is not full.
        let agent_full =
            slots.iter().any(|asked| claimed_by_agent.get(&asked.agent) >= Some(&asked.free));
        Self { claimed_by_agent, batch_full: claimed.len() >= limit as usize, agent_full }
    }

    /// True when another claim should follow at once.
    ///
    /// A full agent wakes the loop when one of its slots is freed. But when every agent has
    /// capacity, that run has ended already, and no signal would come.
    const fn claim_again(&self, capacity: FreeCapacity) -> bool {
        match capacity {
            FreeCapacity::NoAgent => false,
            FreeCapacity::SomeAgents => self.batch_full,
            FreeCapacity::AllAgents => self.batch_full || self.agent_full,
        }
    }
}

impl ClaimLoop {
    /// Claims until the worker drains.
    pub async fn run(self, mut source: Box<dyn WakeSource>, draining: CancellationToken) {
        let mut wakes: Vec<Delivery> = Vec::new();
        let mut failures = 0;
        while !draining.is_cancelled() {
            let Some(mut round) = self.claim_unless_draining(&draining).await else {
                // Other workers may reach the store: leave the wake-ups to them until it is back.
                source.receive_for(&BTreeSet::new()).await;
                wakes.clear();
                let wait = Backoff::DATABASE.random_delay(failures);
                draining.run_until_cancelled(tokio::time::sleep(wait)).await;
                failures = failures.saturating_add(1);
                continue;
            };
            failures = 0;
            // First stop receiving for full agents, so that returned wake-ups go to other workers.
            source.receive_for(&self.slots.agents_with_free_slots()).await;
            self.ack_wakes(&mut wakes, &mut round);
            match self.slots.free_capacity() {
                FreeCapacity::NoAgent => {
                    draining.run_until_cancelled(self.slots.slot_freed()).await;
                }
                capacity if round.claim_again(capacity) => {}
                capacity => {
                    let wake = self.wait_for_work(&mut *source, capacity);
                    if let Some(Some(wake)) = draining.run_until_cancelled(wake).await {
                        wakes.push(wake);
                        self.collect_ready_wakes(&mut *source, &mut wakes);
                    }
                }
            }
        }
    }

    /// Acknowledges wake-ups after a claim: their runs were claimed here or by others. A wake-up
    /// that stands for more than was claimed, for an agent that is now full, returns to the broker.
    fn ack_wakes(&self, wakes: &mut Vec<Delivery>, round: &mut ClaimRound) {
        let with_free_slots = self.slots.agents_with_free_slots();
        for wake in wakes.drain(..) {
            let agent = &wake.wake.agent;
            let claimed = round.claimed_by_agent.get(agent).copied().unwrap_or(0);
            if let Some(unaccounted) = claimed.checked_sub(wake.hint_count()) {
                round.claimed_by_agent.insert(agent.clone(), unaccounted);
            } else if !with_free_slots.contains(agent) {
                // Dropped without an ack: another worker may have a free slot.
                continue;
            }
            wake.ack();
        }
    }

    /// Waits for a reason to claim: a wake-up, a freed slot of a full agent, a freed limit, or the
    /// probe timer.
    async fn wait_for_work(
        &self,
        source: &mut dyn WakeSource,
        capacity: FreeCapacity,
    ) -> Option<Delivery> {
        let wait = self.probe_pause();
        let next = async {
            match source.next().await {
                Some(wake) => wake,
                // The source is closed: only the timer is left.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            wake = next => Some(wake),
            () = self.slots.slot_freed(), if capacity == FreeCapacity::SomeAgents => None,
            () = self.slots.limit_freed() => None,
            () = tokio::time::sleep(wait) => None,
        }
    }

    /// Collects wake-ups that have already arrived, up to the number of free slots.
    fn collect_ready_wakes(&self, source: &mut dyn WakeSource, wakes: &mut Vec<Delivery>) {
        let free = self.slots.free().1 as usize;
        while wakes.len() < free {
            match source.next().now_or_never() {
                Some(Some(wake)) => wakes.push(wake),
                Some(None) | None => return,
            }
        }
    }

    /// Claims, but gives up soon after a drain begins.
    async fn claim_unless_draining(&self, draining: &CancellationToken) -> Option<ClaimRound> {
        let drain_timeout = async {
            draining.cancelled().await;
            tokio::time::sleep(DRAIN_CLAIM_TIMEOUT).await;
        };
        tokio::select! {
            biased;
            round = self.claim() => round,
            () = drain_timeout => None,
        }
    }

    /// Claims runs for the free slots and starts them; `None` when the store is unavailable.
    async fn claim(&self) -> Option<ClaimRound> {
        let (slots, limit) = self.slots.free();
        if slots.is_empty() {
            return Some(ClaimRound { batch_full: true, ..ClaimRound::default() });
        }
        let request = ClaimRequest { worker: self.worker, slots: slots.clone(), limit };
        match self.env.store.claim(request).await {
            Ok(claimed) => {
                self.readiness.set_ok();
                let round = ClaimRound::new(&claimed, &slots, limit);
                for claimed in claimed {
                    self.start(claimed);
                }
                Some(round)
            }
            Err(error) => {
                tracing::warn!(%error, "claim failed");
                self.readiness.set_failed("the store does not answer");
                None
            }
        }
    }

    fn start(&self, claimed: ClaimedRun) {
        let Some(agent) = self.agents.get(&claimed.agent) else {
            tracing::error!(agent = %claimed.agent, "claimed a run of an unknown agent");
            return;
        };
        let slot = self.slots.take(&claimed.agent);
        let (env, agent) = (Arc::clone(&self.env), Arc::clone(agent));
        self.runs.spawn("run", run(env, agent, claimed, slot));
    }

    /// The pause before a probe: the interval plus up to half of it, to spread workers out.
    fn probe_pause(&self) -> Duration {
        let max = self.probe_interval;
        let jitter = Backoff { initial: max, factor: 1.0, max, jitter: true };
        max + jitter.random_delay(0) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::claimed;

    fn round(claims: u128, free: u32, limit: u32) -> ClaimRound {
        let claimed: Vec<ClaimedRun> = (1..=claims).map(claimed).collect();
        let agent = AgentName::new("agent").unwrap();
        let idle = AgentName::new("idle").unwrap();
        let slots = [AgentSlots::new(agent, free), AgentSlots::new(idle, limit)];
        ClaimRound::new(&claimed, &slots, limit)
    }

    #[test]
    fn a_claim_that_left_slots_free_is_not_repeated() {
        for capacity in [FreeCapacity::NoAgent, FreeCapacity::SomeAgents, FreeCapacity::AllAgents] {
            assert!(!round(0, 1, 16).claim_again(capacity));
            assert!(!round(3, 4, 16).claim_again(capacity));
        }
    }

    #[test]
    fn a_claim_that_filled_its_batch_is_repeated_while_slots_are_free() {
        assert!(round(16, 16, 16).claim_again(FreeCapacity::SomeAgents));
        assert!(!round(16, 16, 16).claim_again(FreeCapacity::NoAgent));
    }

    #[test]
    fn a_claim_is_repeated_when_a_full_agent_has_a_free_slot_again() {
        assert!(round(1, 1, 16).claim_again(FreeCapacity::AllAgents));
        assert!(
            !round(1, 1, 16).claim_again(FreeCapacity::SomeAgents),
            "the freed slot wakes the loop"
        );
    }
}
