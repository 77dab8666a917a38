//! Admission control: a full queue turns new tasks away, with a word on when to come back, instead of growing without bound,
//! and so does one that more clients wait for than it can serve soon.
//!
//! How deep a queue is is counted rarely and remembered together with what was accepted here since, so a request costs no
//! count: far from a limit a count is a second old, near it a tenth of one, and counting never takes more than a tenth of
//! the time. One node alone goes over a limit only where workers take less away than they did before; several together
//! may, by what they accept between two counts. While
//! the store does not count, what it counted last and what was accepted here since decide. Nothing is kept: a node that starts counts anew.

mod crowd;
mod gauge;

use super::Result;
pub use crowd::Waiter;
use crowd::{Crowd, Crowded};
use gauge::{Gauge, Place};
use longhaul_domain::{AgentDescriptor, AgentName, OwnerId};
use longhaul_store::Store;
use longhaul_wire::ProtocolError;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// When to come back to a full queue.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Queues remembered; when there are more, those that nobody is asking for are forgotten.
const REMEMBERED: usize = 10_000;

/// A queue: that of an agent, or what an owner has in it.
type Queue = (AgentName, Option<OwnerId>);

/// What a node lets in, where an agent does not say.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Tasks that may wait.
    pub queued: u32,
    /// Those of one owner.
    pub queued_per_owner: u32,
    /// How long clients may wait for their tasks to begin.
    pub delay: Duration,
}

/// The queues of a deployment, as this node sees them.
pub struct Admission {
    store: Arc<dyn Store>,
    bounds: Bounds,
    gauges: Mutex<HashMap<Queue, Arc<Gauge>>>,
    crowds: Mutex<HashMap<Queue, Arc<Crowd>>>,
}

/// The right to put one task into its queue; given back unless the task is accepted.
#[derive(Debug)]
pub struct Admitted(Vec<Place>);

impl Admitted {
    /// The task is in the queue.
    pub fn accepted(self) {
        self.0.into_iter().for_each(Place::taken);
    }
}

impl Admission {
    /// Nothing is counted yet.
    pub fn new(store: Arc<dyn Store>, bounds: Bounds) -> Self {
        Self { store, bounds, gauges: Mutex::default(), crowds: Mutex::default() }
    }

    /// Lets one client of an owner wait for a task that is not there yet, or says why not.
    pub fn join(&self, agent: &AgentName, owner: OwnerId) -> Result<Waiter> {
        // Owners take turns: one that sends too much keeps itself waiting and nobody else.
        let crowd = remembered(&self.crowds, (agent.clone(), Some(owner)));
        crowd.join(self.bounds.delay).map_err(|Crowded { waiting, rate }| {
            full(format!(
                "{waiting} clients wait for agent {agent}, which begins {rate} tasks a second; send again later, or with returnImmediately"
            ))
        })
    }

    /// Lets one task of an owner in, or says why not.
    pub async fn admit(&self, agent: &AgentDescriptor, owner: OwnerId) -> Result<Admitted> {
        let of_agent = agent.limits.queued.unwrap_or(self.bounds.queued);
        let of_owner = agent.limits.queued_per_owner.unwrap_or(self.bounds.queued_per_owner);
        let name = &agent.name;
        let mut places = Vec::with_capacity(2);
        // Where an owner may fill the whole queue there is nothing to count for each.
        if of_owner < of_agent {
            let place = self.place(name, Some(owner), of_owner).await;
            places.push(place.ok_or_else(|| {
                full(format!(
                    "{of_owner} of your tasks wait for agent {name}, as many as one owner may have; send again when some have been started, or cancel some"
                ))
            })?);
        }
        let place = self.place(name, None, of_agent).await;
        places.push(place.ok_or_else(|| {
            full(format!(
                "The queue of agent {name} is full with {of_agent} tasks; send again later, or have workers added or the limit raised"
            ))
        })?);
        Ok(Admitted(places))
    }

    async fn place(&self, agent: &AgentName, owner: Option<OwnerId>, limit: u32) -> Option<Place> {
        let gauge = remembered(&self.gauges, (agent.clone(), owner));
        let count = || {
            let (store, agent) = (Arc::clone(&self.store), agent.clone());
            async move { store.queue_depth(&agent, owner, limit).await }
        };
        gauge.place(limit, count).await
    }
}

/// What is known of a queue.
fn remembered<T: Default>(known: &Mutex<HashMap<Queue, Arc<T>>>, queue: Queue) -> Arc<T> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= REMEMBERED && !known.contains_key(&queue) {
        known.retain(|_, of_queue| Arc::strong_count(of_queue) > 1);
    }
    Arc::clone(known.entry(queue).or_default())
}

fn full(why: String) -> ProtocolError {
    ProtocolError::ResourceExhausted { why, retry_after: RETRY_AFTER }
}
