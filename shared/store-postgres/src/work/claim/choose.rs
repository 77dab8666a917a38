//! Who gets a place where places are limited: decided in memory, once the claimed runs are counted.

use longhaul_domain::{AgentName, ConcurrencyLimits, OwnerId, TaskKey};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A run that may be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its task.
    pub key: TaskKey,
    /// What it must not run beside too many of.
    pub concurrency_key: Option<String>,
}

/// How many runs of an agent are claimed.
#[derive(Debug, Clone, Default)]
pub struct Running {
    total: u64,
    owners: HashMap<OwnerId, u64>,
    keys: HashMap<(OwnerId, String), u64>,
}

impl Running {
    /// So many more.
    pub fn add(&mut self, owner: OwnerId, key: Option<&str>, runs: u64) {
        self.total += runs;
        *self.owners.entry(owner).or_default() += runs;
        if let Some(key) = key {
            *self.keys.entry((owner, key.to_owned())).or_default() += runs;
        }
    }

    /// Whether there is room for one more run of the agent at all.
    pub fn has_room(&self, limits: &ConcurrencyLimits) -> bool {
        below(self.total, limits.total)
    }

    /// Owners that must not have more.
    pub fn full_owners(&self, limits: &ConcurrencyLimits) -> Vec<OwnerId> {
        let full = self.owners.iter().filter(|(_, runs)| !below(**runs, limits.per_owner));
        full.map(|(owner, _)| *owner).collect()
    }

    fn has_room_for_owner(&self, owner: OwnerId, limits: &ConcurrencyLimits) -> bool {
        below(self.owners.get(&owner).copied().unwrap_or(0), limits.per_owner)
    }

    fn has_room_for_key(&self, run: &Candidate, limits: &ConcurrencyLimits) -> bool {
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

/// An agent that somebody has slots for.
#[derive(Debug)]
pub struct Offer {
    /// The agent.
    pub agent: AgentName,
    /// Free slots.
    pub free: usize,
    /// How much of it may run.
    pub limits: ConcurrencyLimits,
    /// How much does.
    pub running: Running,
    /// What could run: of each owner, in the order of their turns, in its own order.
    pub owners: Vec<Vec<Candidate>>,
}

impl Offer {
    /// How many runs may be claimed, if nobody may claim more than `most`.
    pub fn wanted(&self, most: usize) -> usize {
        let room = self
            .limits
            .total
            .map_or(u64::MAX, |total| u64::from(total).saturating_sub(self.running.total));
        self.free.min(most).min(usize::try_from(room).unwrap_or(usize::MAX))
    }
}

/// What was decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Runs to claim in this order, with their agent.
    pub claim: Vec<(AgentName, Candidate)>,
    /// Runs whose concurrency key is in use, by agent.
    pub hold_back: BTreeMap<AgentName, Vec<Candidate>>,
}

/// Lets owners take turns, and of each the first of its runs that no limit forbids. What is chosen counts as claimed in the
/// offers, and is not chosen again.
pub fn choose(offers: &mut [Offer], most: usize) -> Choice {
    let mut choice = Choice::default();
    let mut going_on = true;
    while going_on && choice.claim.len() < most {
        going_on = false;
        let longest = offers.iter().map(|offer| offer.owners.len()).max().unwrap_or(0);
        for place in 0..longest {
            for offer in &mut *offers {
                if choice.claim.len() < most {
                    going_on |= one_of(offer, place, &mut choice);
                }
            }
        }
    }
    for (agent, held) in &mut choice.hold_back {
        let taken: HashSet<TaskKey> =
            choice.claim.iter().filter(|(by, _)| by == agent).map(|(_, run)| run.key).collect();
        held.retain(|run| !taken.contains(&run.key));
    }
    choice.hold_back.retain(|_, held| !held.is_empty());
    choice
}

/// Takes the next run of the owner at a place, if there is one that no limit forbids.
fn one_of(offer: &mut Offer, place: usize, choice: &mut Choice) -> bool {
    let Some(runs) = offer.owners.get_mut(place) else { return false };
    while let Some(owner) = runs.first().map(|run| run.key.owner) {
        let open = offer.free > 0
            && offer.running.has_room(&offer.limits)
            && offer.running.has_room_for_owner(owner, &offer.limits);
        if !open {
            return false;
        }
        let run = runs.remove(0);
        if offer.running.has_room_for_key(&run, &offer.limits) {
            offer.running.add(owner, run.concurrency_key.as_deref(), 1);
            offer.free -= 1;
            choice.claim.push((offer.agent.clone(), run));
            return true;
        }
        choice.hold_back.entry(offer.agent.clone()).or_default().push(run);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::TaskId;
    use uuid::Uuid;

    fn run(owner: i32, id: u128, key: Option<&str>) -> Candidate {
        let key = key.map(str::to_owned);
        let task = TaskId::new(Uuid::from_u128(id));
        Candidate { key: TaskKey { owner: OwnerId(owner), task }, concurrency_key: key }
    }

    fn offer(limits: ConcurrencyLimits, owners: Vec<Vec<Candidate>>) -> Offer {
        let agent = AgentName::new("echo").unwrap();
        Offer { agent, free: 100, limits, running: Running::default(), owners }
    }

    fn ids(choice: &Choice) -> Vec<u128> {
        choice.claim.iter().map(|(_, run)| run.key.task.uuid().as_u128()).collect()
    }

    #[test]
    fn owners_take_turns() {
        let owners = vec![
            vec![run(1, 1, None), run(1, 2, None), run(1, 3, None)],
            vec![run(2, 4, None)],
            vec![run(3, 5, None), run(3, 6, None)],
        ];
        let choice = choose(&mut [offer(ConcurrencyLimits::NONE, owners)], 5);
        assert_eq!(ids(&choice), [1, 4, 5, 2, 6]);
    }

    #[test]
    fn no_limit_is_exceeded() {
        let owners = || vec![(1..4).map(|n| run(1, n, None)).collect(), vec![run(2, 4, None)]];
        let none = ConcurrencyLimits::NONE;
        let total = ConcurrencyLimits { total: Some(2), ..none };
        assert_eq!(ids(&choose(&mut [offer(total, owners())], 9)), [1, 4]);
        let per_owner = ConcurrencyLimits { per_owner: Some(2), ..none };
        let mut offers = [offer(per_owner, owners())];
        offers[0].running.add(OwnerId(1), None, 1);
        assert_eq!(ids(&choose(&mut offers, 9)), [1, 4]);
        assert_eq!(offers[0].running.full_owners(&per_owner), [OwnerId(1)]);
    }

    #[test]
    fn a_run_whose_key_is_in_use_lets_others_pass() {
        let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
        let owners = vec![
            vec![run(1, 1, Some("a")), run(1, 2, Some("a")), run(1, 3, None)],
            vec![run(2, 4, Some("a"))],
        ];
        let choice = choose(&mut [offer(limits, owners)], 9);
        assert_eq!(ids(&choice), [1, 4, 3], "keys belong to their owner");
        let held = choice.hold_back.values().flatten();
        assert_eq!(held.map(|run| run.key.task.uuid().as_u128()).collect::<Vec<_>>(), [2]);
    }
}
