//! Whose turn it is: agents take turns, and of one agent the owners.
//!
//! The queue of an owner is never read to find the next owner: that is one step in an index, however long the queue is. The place of
//! the last owner who got something is remembered for each agent, so that owners take turns over claims as well as within
//! one; it is lost with the process, which costs nobody more than one turn.

use super::claim::{self, WorkerName};
use crate::{
    concurrency,
    db::{self, statements},
    error::Result,
    writer::Tx,
};
use longhaul_domain::AgentName;
use longhaul_store::{AgentSlots, ClaimedRun};
use std::collections::{HashMap, VecDeque};

statements! {
    NEXT_OWNER = "-- store::claim
        SELECT owner_id FROM runs INDEXED BY runs_queued
        WHERE agent = ?1 AND worker IS NULL AND stage = 0 AND owner_id > ?2
        ORDER BY owner_id LIMIT 1";
}

/// Owners that one claim looks at in vain.
const LOOKS: u32 = 200;
/// Runs of one owner that one claim moves aside.
const MOVES: u32 = 200;

/// Where claims go on.
#[derive(Debug, Default)]
pub struct Turns {
    /// The owner of each agent who had the last turn.
    owners: HashMap<AgentName, i32>,
    claims: usize,
}

impl Turns {
    /// With which of so many agents a claim begins.
    pub fn first_agent(&mut self, agents: usize) -> usize {
        self.claims = self.claims.wrapping_add(1);
        self.claims % agents.max(1)
    }

    fn last_owner(&self, agent: &AgentName) -> i32 {
        self.owners.get(agent).copied().unwrap_or(0)
    }

    fn had_a_turn(&mut self, agent: &AgentName, owner: i32) {
        match self.owners.get_mut(agent) {
            Some(last) => *last = owner,
            None => {
                self.owners.insert(agent.clone(), owner);
            }
        }
    }
}

/// An owner who has something ready, as far as is known.
pub struct Owner {
    pub id: i32,
    /// How many more of its runs may be started.
    pub room: u32,
    /// How many more of its runs may be moved aside.
    pub moves: u32,
}

/// What one claim takes of one agent.
pub struct Queue<'a> {
    pub slots: &'a AgentSlots,
    /// How many more runs may be started.
    left: u32,
    /// Where the way around the owners began, and where it stands; none: it is done.
    start: i32,
    place: Option<i32>,
    wrapped: bool,
    /// Owners who got something in this claim, in their order.
    served: VecDeque<Owner>,
    looks: u32,
}

impl<'a> Queue<'a> {
    pub fn open(tx: &Tx<'_>, turns: &Turns, slots: &'a AgentSlots) -> Result<Self> {
        let room = match slots.limits.total {
            Some(total) => {
                total.saturating_sub(concurrency::running(tx.conn, slots.agent.as_str())?)
            }
            None => u32::MAX,
        };
        let start = turns.last_owner(&slots.agent);
        Ok(Self {
            slots,
            left: slots.free.min(room),
            start,
            place: Some(start),
            wrapped: false,
            served: VecDeque::new(),
            looks: LOOKS,
        })
    }

    /// Claims the next run in turn, if there is one that may be started.
    pub fn claim(
        &mut self,
        tx: &mut Tx<'_>,
        turns: &mut Turns,
        worker: &WorkerName,
    ) -> Result<Option<ClaimedRun>> {
        while self.left > 0
            && let Some(mut owner) = self.next_owner(tx)?
        {
            let claimed = claim::first_of(tx, self.slots, &mut owner, worker)?;
            turns.had_a_turn(&self.slots.agent, owner.id);
            if claimed.is_some() {
                self.left -= 1;
                self.served.push_back(owner);
                return Ok(claimed);
            }
            self.looks = self.looks.saturating_sub(1);
        }
        Ok(None)
    }

    /// The next owner on the way around; after that, those who got something, again.
    fn next_owner(&mut self, tx: &Tx<'_>) -> Result<Option<Owner>> {
        let agent = self.slots.agent.as_str();
        while let Some(place) = self.place {
            let next: Option<i32> =
                db::one(tx.conn, NEXT_OWNER, (agent, place), |row| Ok(row.get(0)?))?;
            self.place = next.filter(|id| self.looks > 0 && !(self.wrapped && *id > self.start));
            if let Some(id) = self.place {
                return self.owner(tx, id).map(Some);
            }
            if !self.wrapped && self.looks > 0 {
                self.wrapped = true;
                self.place = Some(i32::MIN);
            }
        }
        Ok(self.served.pop_front())
    }

    fn owner(&self, tx: &Tx<'_>, id: i32) -> Result<Owner> {
        let agent = self.slots.agent.as_str();
        let room = match self.slots.limits.per_owner {
            Some(most) => most.saturating_sub(concurrency::running_of_owner(tx.conn, agent, id)?),
            None => u32::MAX,
        };
        Ok(Owner { id, room, moves: MOVES })
    }
}
