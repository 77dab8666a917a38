//! Remembers which owner of each agent was served last.
//!
//! A process begins behind that owner. Its first start is random, so that many processes do not
//! serve the same owner first.

use longhaul_domain::{AgentName, OwnerId};
use longhaul_runtime::IdSource;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Owner served last, by agent.
#[derive(Default)]
pub struct OwnerTurns(Mutex<HashMap<AgentName, OwnerId>>);

impl OwnerTurns {
    /// Owner behind which the next claim begins.
    pub fn start_after(&self, agent: &AgentName, ids: &dyn IdSource) -> OwnerId {
        *self.lock().entry(agent.clone()).or_insert_with(|| random_owner(ids.random_u128()))
    }

    /// Records that this owner was served last.
    pub fn record_served(&self, agent: &AgentName, owner: OwnerId) {
        self.lock().insert(agent.clone(), owner);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentName, OwnerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chooses a random owner number. Numbers start at 1 and their count is unknown here, so every
/// order of magnitude is equally likely.
fn random_owner(random: u128) -> OwnerId {
    // Choose the magnitude first, then a number below it.
    let bits = u32::try_from(random % 20).unwrap_or_default();
    let number = (random >> 64) & ((1 << bits) - 1);
    OwnerId(i32::try_from(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::SystemIds;

    #[test]
    fn the_next_turn_begins_where_the_last_one_ended() {
        let turns = OwnerTurns::default();
        let echo = AgentName::new("echo").unwrap();
        let first = turns.start_after(&echo, &SystemIds);
        assert!((0..1 << 20).contains(&first.0));
        assert_eq!(turns.start_after(&echo, &SystemIds), first);
        turns.record_served(&echo, OwnerId(7));
        assert_eq!(turns.start_after(&echo, &SystemIds), OwnerId(7));
    }
}
