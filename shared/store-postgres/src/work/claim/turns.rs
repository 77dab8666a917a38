//! Whose turn it is.
//!
//! Each process remembers for each agent which owner it served last, and begins behind that one. Where to begin at all is left
//! to chance, so that many processes do not serve the same owner first.

use longhaul_domain::{AgentName, OwnerId};
use longhaul_runtime::IdSource;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The owner of each agent that was served last.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<AgentName, OwnerId>>);

impl Turns {
    /// Who was served last.
    pub fn last(&self, agent: &AgentName, ids: &dyn IdSource) -> OwnerId {
        *self.lock().entry(agent.clone()).or_insert_with(|| somebody(ids.random_u128()))
    }

    /// This owner was served last.
    pub fn served(&self, agent: &AgentName, owner: OwnerId) {
        self.lock().insert(agent.clone(), owner);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentName, OwnerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owners are numbered from 1, and nobody knows here how many there are: every order of magnitude is as likely as any other.
fn somebody(random: u128) -> OwnerId {
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
        let turns = Turns::default();
        let echo = AgentName::new("echo").unwrap();
        let first = turns.last(&echo, &SystemIds);
        assert!((0..1 << 20).contains(&first.0));
        assert_eq!(turns.last(&echo, &SystemIds), first);
        turns.served(&echo, OwnerId(7));
        assert_eq!(turns.last(&echo, &SystemIds), OwnerId(7));
    }
}
