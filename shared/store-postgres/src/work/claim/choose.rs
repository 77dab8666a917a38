//! Chooses the runs to claim where limits apply, in memory, after the claimed runs are counted.

use longhaul_domain::{AgentName, ConcurrencyLimits, OwnerId, TaskKey};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A claimable run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimCandidate {
    /// Task of the run.
    pub key: TaskKey,
    /// Concurrency key of the run.
    pub concurrency_key: Option<String>,
}

/// Numbers of an agent's claimed runs.
#[derive(Debug, Clone, Default)]
pub struct RunningCounts {
    total: u64,
    owners: HashMap<OwnerId, u64>,
    keys: HashMap<(OwnerId, String), u64>,
}

impl RunningCounts {
    /// Adds claimed runs.
    pub fn add(&mut self, owner: OwnerId, key: Option<&str>, runs: u64) {
        self.total += runs;
        *self.owners.entry(owner).or_default() += runs;
        if let Some(key) = key {
            *self.keys.entry((owner, key.to_owned())).or_default() += runs;
        }
    }

    /// Returns whether the agent may run one more.
    pub fn has_room(&self, limits: &ConcurrencyLimits) -> bool {
        below(self.total, limits.total)
    }

    /// Owners at their limit.
    pub fn full_owners(&self, limits: &ConcurrencyLimits) -> Vec<OwnerId> {
        let full = self.owners.iter().filter(|(_, runs)| !below(**runs, limits.per_owner));
        full.map(|(owner, _)| *owner).collect()
    }

    fn has_room_for_owner(&self, owner: OwnerId, limits: &ConcurrencyLimits) -> bool {
        below(self.owners.get(&owner).copied().unwrap_or(0), limits.per_owner)
    }

    fn has_room_for_key(&self, run: &ClaimCandidate, limits: &ConcurrencyLimits) -> bool {
        run.concurrency_key.as_ref().is_none_or(|key| {
            let used = self.keys.get(&(run.key.owner, key.clone())).copied();
            below(used.unwrap_or(0), limits.per_key)
        })
    }
}

const fn below(runs: u64, limit: Option<u32>) -> bool {
    match limit {
        Some(limit) => runs < limit as u64,
        None => true,
    }
}

/// An agent with free slots.
#[derive(Debug)]
pub struct AgentOffer {
    /// The agent.
    pub agent: AgentName,
    /// Free slots.
    pub free: usize,
    /// Concurrency limits of the agent.
    pub limits: ConcurrencyLimits,
    /// Claimed runs of the agent.
    pub running: RunningCounts,
    /// Candidates by owner, in the order of the owners' turns.
    pub owners: Vec<Vec<ClaimCandidate>>,
}

impl AgentOffer {
    /// Number of runs to claim, at most `most`.
    pub fn wanted(&self, most: usize) -> usize {
        let room = self
            .limits
            .total
            .map_or(u64::MAX, |total| u64::from(total).saturating_sub(self.running.total));
        self.free.min(most).min(usize::try_from(room).unwrap_or(usize::MAX))
    }
}

/// Runs to claim and to hold back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClaimPlan {
    /// Runs to claim in this order, with their agent.
    pub claim: Vec<(AgentName, ClaimCandidate)>,
    /// Runs whose concurrency key is in use, by agent.
    pub hold_back: BTreeMap<AgentName, Vec<ClaimCandidate>>,
}

/// Plans claims: owners take turns, and each gives its first run that no limit forbids.
///
/// Planned runs count as claimed in the offers and are not planned again.
pub fn plan_claims(offers: &mut [AgentOffer], most: usize) -> ClaimPlan {
    let mut plan = ClaimPlan::default();
    let mut progressed = true;
    // One pass takes at most one run per owner: that is their turn.
    while progressed && plan.claim.len() < most {
        progressed = false;
        let longest = offers.iter().map(|offer| offer.owners.len()).max().unwrap_or(0);
        for place in 0..longest {
            for offer in &mut *offers {
                if plan.claim.len() < most {
                    progressed |= take_next(offer, place, &mut plan);
                }
            }
        }
    }
    for (agent, held) in &mut plan.hold_back {
        let taken: HashSet<TaskKey> =
            plan.claim.iter().filter(|(by, _)| by == agent).map(|(_, run)| run.key).collect();
        held.retain(|run| !taken.contains(&run.key));
    }
    // Drop agents without runs to hold back.
    plan.hold_back.retain(|_, held| !held.is_empty());
    plan
}

/// Takes the next allowed run of the owner at this place; returns whether there was one.
fn take_next(offer: &mut AgentOffer, place: usize, plan: &mut ClaimPlan) -> bool {
    let Some(runs) = offer.owners.get_mut(place) else { return false };
    while let Some(owner) = runs.first().map(|run| run.key.owner) {
        let open = offer.free > 0
            && offer.running.has_room(&offer.limits)
            && offer.running.has_room_for_owner(owner, &offer.limits);
        if !open {
            return false;
        }
        // Candidates come in queue order, so the first one allowed is the next to run.
        let run = runs.remove(0);
        if offer.running.has_room_for_key(&run, &offer.limits) {
            offer.running.add(owner, run.concurrency_key.as_deref(), 1);
            offer.free -= 1;
            plan.claim.push((offer.agent.clone(), run));
            return true;
        }
        plan.hold_back.entry(offer.agent.clone()).or_default().push(run);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::TaskId;
    use uuid::Uuid;

    fn run(owner: i32, id: u128, key: Option<&str>) -> ClaimCandidate {
        let key = key.map(str::to_owned);
        let task = TaskId::new(Uuid::from_u128(id));
        ClaimCandidate { key: TaskKey { owner: OwnerId(owner), task }, concurrency_key: key }
    }

    fn offer(limits: ConcurrencyLimits, owners: Vec<Vec<ClaimCandidate>>) -> AgentOffer {
        let agent = AgentName::new("echo").unwrap();
        AgentOffer { agent, free: 100, limits, running: RunningCounts::default(), owners }
    }

    fn ids(plan: &ClaimPlan) -> Vec<u128> {
        plan.claim.iter().map(|(_, run)| run.key.task.uuid().as_u128()).collect()
    }

    #[test]
    fn owners_take_turns() {
        let owners = vec![
            vec![run(1, 1, None), run(1, 2, None), run(1, 3, None)],
            vec![run(2, 4, None)],
            vec![run(3, 5, None), run(3, 6, None)],
        ];
        let plan = plan_claims(&mut [offer(ConcurrencyLimits::NONE, owners)], 5);
        assert_eq!(ids(&plan), [1, 4, 5, 2, 6]);
    }

    #[test]
    fn no_limit_is_exceeded() {
        let owners = || vec![(1..4).map(|n| run(1, n, None)).collect(), vec![run(2, 4, None)]];
        let none = ConcurrencyLimits::NONE;
        let total = ConcurrencyLimits { total: Some(2), ..none };
        assert_eq!(ids(&plan_claims(&mut [offer(total, owners())], 9)), [1, 4]);
        let per_owner = ConcurrencyLimits { per_owner: Some(2), ..none };
        let mut offers = [offer(per_owner, owners())];
        offers[0].running.add(OwnerId(1), None, 1);
        assert_eq!(ids(&plan_claims(&mut offers, 9)), [1, 4]);
        assert_eq!(offers[0].running.full_owners(&per_owner), [OwnerId(1)]);
    }

    #[test]
    fn a_run_whose_key_is_in_use_lets_others_pass() {
        let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
        let owners = vec![
            vec![run(1, 1, Some("a")), run(1, 2, Some("a")), run(1, 3, None)],
            vec![run(2, 4, Some("a"))],
        ];
        let plan = plan_claims(&mut [offer(limits, owners)], 9);
        assert_eq!(ids(&plan), [1, 4, 3], "keys are scoped by owner");
        let held = plan.hold_back.values().flatten();
        assert_eq!(held.map(|run| run.key.task.uuid().as_u128()).collect::<Vec<_>>(), [2]);
    }
}
