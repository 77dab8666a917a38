//! The claim loop: finds work for free slots.
//!
//! A wake-up makes it look into the store, and so do a slot that is freed while there was a backlog, a run whose end makes room
//! under a limit of its agent and, from time to time, the clock: a lost wake-up costs latency, never a task. Wake-ups for
//! agents that have no free slot are left to others; when a slot is freed, the store is asked first.

use crate::{
    run::{Agent, RunEnv, run},
    slots::{Room, Slots},
};
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

/// Everything that the loop needs.
pub struct Claims {
    pub env: Arc<RunEnv>,
    pub agents: BTreeMap<AgentName, Arc<Agent>>,
    pub slots: Slots,
    pub runs: TaskSet,
    pub worker: WorkerId,
    pub probe_interval: Duration,
    pub readiness: ComponentHandle,
}

/// What a look into the store brought.
#[derive(Debug, Default)]
struct Brought {
    /// How many runs of each agent were claimed.
    by_agent: BTreeMap<AgentName, u32>,
    /// As much as there was room for in all: there may be more.
    more: bool,
    /// As much as one agent had room for: there may be more for that one.
    filled: bool,
}

impl Brought {
    /// What was asked for with these slots, at most so many in all.
    fn of(claimed: &[ClaimedRun], slots: &[AgentSlots], limit: u32) -> Self {
        let mut by_agent = BTreeMap::<AgentName, u32>::new();
        for claimed in claimed {
            *by_agent.entry(claimed.agent.clone()).or_default() += 1;
        }
        let filled = slots.iter().any(|asked| by_agent.get(&asked.agent) >= Some(&asked.free));
        Self { by_agent, more: claimed.len() >= limit as usize, filled }
    }

    /// Whether to look again at once. An agent that was filled is listened for while it is full; where every agent has
    /// room, its runs have ended already, and nobody would tell.
    const fn again(&self, room: Room) -> bool {
        match room {
            Room::None => false,
            Room::Some => self.more,
            Room::All => self.more || self.filled,
        }
    }
}

/// How long a claim that is under way may take when the worker drains. What it brings later is offered to others when the
/// worker takes itself off.
const LAST_CLAIM: Duration = Duration::from_secs(2);

impl Claims {
    /// Claims until the worker drains.
    pub async fn run(self, mut source: Box<dyn WakeSource>, draining: CancellationToken) {
        let mut wakes: Vec<Delivery> = Vec::new();
        let mut failures = 0;
        while !draining.is_cancelled() {
            let Some(mut brought) = self.bounded_look(&draining).await else {
                // Others may reach the store; and hints must not be burnt while it is away.
                source.receive_for(&BTreeSet::new()).await;
                wakes.clear();
                let wait = Backoff::DATABASE.random_delay(failures);
                draining.run_until_cancelled(tokio::time::sleep(wait)).await;
                failures = failures.saturating_add(1);
                continue;
            };
            failures = 0;
            // Before wake-ups go back, so that they go to others.
            source.receive_for(&self.slots.open()).await;
            self.answer(&mut wakes, &mut brought);
            match self.slots.room() {
                Room::None => {
                    draining.run_until_cancelled(self.slots.freed()).await;
                }
                room if brought.again(room) => {}
                room => {
                    let wake = self.idle(&mut *source, room);
                    if let Some(Some(wake)) = draining.run_until_cancelled(wake).await {
                        wakes.push(wake);
                        self.gather(&mut *source, &mut wakes);
                    }
                }
            }
        }
    }

    /// Answers wake-ups after a look. What they were for was claimed, or was claimed by others. Those for an agent that has no
    /// free slot any more, and that stand for more than what was claimed, go back: another worker may have one.
    fn answer(&self, wakes: &mut Vec<Delivery>, brought: &mut Brought) {
        let open = self.slots.open();
        for wake in wakes.drain(..) {
            let agent = &wake.wake.agent;
            let left = brought.by_agent.get(agent).copied().unwrap_or(0);
            if let Some(left) = left.checked_sub(wake.hint_count()) {
                brought.by_agent.insert(agent.clone(), left);
            } else if !open.contains(agent) {
                continue;
            }
            wake.ack();
        }
    }

    /// Waits for a reason to look again: a wake-up, a slot of an agent that had none, or the clock.
    async fn idle(&self, source: &mut dyn WakeSource, room: Room) -> Option<Delivery> {
        let wait = self.probe_pause();
        let next = async {
            match source.next().await {
                Some(wake) => wake,
                // Closed: only the clock is left.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            wake = next => Some(wake),
            () = self.slots.freed(), if room == Room::Some => None,
            () = self.slots.room_made() => None,
            () = tokio::time::sleep(wait) => None,
        }
    }

    /// Takes further wake-ups that are here already, as many as there are slots.
    fn gather(&self, source: &mut dyn WakeSource, wakes: &mut Vec<Delivery>) {
        let room = self.slots.free().1 as usize;
        while wakes.len() < room {
            match futures::future::FutureExt::now_or_never(source.next()) {
                Some(Some(wake)) => wakes.push(wake),
                Some(None) | None => return,
            }
        }
    }

    /// A look that does not hold up a drain for long.
    async fn bounded_look(&self, draining: &CancellationToken) -> Option<Brought> {
        let late = async {
            draining.cancelled().await;
            tokio::time::sleep(LAST_CLAIM).await;
        };
        tokio::select! {
            biased;
            look = self.look() => look,
            () = late => None,
        }
    }

    /// Claims what there is room for and starts it; `None`: the store did not answer.
    async fn look(&self) -> Option<Brought> {
        let (slots, limit) = self.slots.free();
        if slots.is_empty() {
            return Some(Brought { more: true, ..Brought::default() });
        }
        let request = ClaimRequest { worker: self.worker, slots: slots.clone(), limit };
        match self.env.store.claim(request).await {
            Ok(claimed) => {
                self.readiness.set_ok();
                let brought = Brought::of(&claimed, &slots, limit);
                for claimed in claimed {
                    self.begin(claimed);
                }
                Some(brought)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot claim");
                self.readiness.set_failed("the store does not answer");
                None
            }
        }
    }

    fn begin(&self, claimed: ClaimedRun) {
        let Some(agent) = self.agents.get(&claimed.agent) else {
            tracing::error!(agent = %claimed.agent, "claimed a run that was not asked for");
            return;
        };
        let slot = self.slots.take(&claimed.agent);
        let (env, agent) = (Arc::clone(&self.env), Arc::clone(agent));
        self.runs.spawn("run", run(env, agent, claimed, slot));
    }

    /// When to look again without being woken: after the interval and up to half of it, so that many workers do not look at
    /// once.
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

    fn brought(claims: u128, free: u32, limit: u32) -> Brought {
        let claimed: Vec<ClaimedRun> = (1..=claims).map(claimed).collect();
        let agent = AgentName::new("agent").unwrap();
        let idle = AgentName::new("idle").unwrap();
        let slots = [AgentSlots::new(agent, free), AgentSlots::new(idle, limit)];
        Brought::of(&claimed, &slots, limit)
    }

    #[test]
    fn a_claim_that_brought_less_than_there_was_room_for_is_not_repeated() {
        for room in [Room::None, Room::Some, Room::All] {
            assert!(!brought(0, 1, 16).again(room));
            assert!(!brought(3, 4, 16).again(room));
        }
    }

    #[test]
    fn a_claim_that_brought_all_there_was_room_for_is_repeated_while_there_is_room() {
        assert!(brought(16, 16, 16).again(Room::Some));
        assert!(!brought(16, 16, 16).again(Room::None));
    }

    #[test]
    fn an_agent_whose_last_slot_is_free_again_already_is_looked_for_at_once() {
        assert!(brought(1, 1, 16).again(Room::All));
        assert!(!brought(1, 1, 16).again(Room::Some), "its end is listened for");
    }
}
