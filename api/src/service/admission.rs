//! Admission control: a full queue turns new tasks away, with a word on when to come back, instead of growing without bound.
//!
//! How deep a queue is is counted rarely and remembered together with what was accepted here since, so a request costs no
//! count: far from a limit a count is a second old, near it a tenth of one, and counting never takes more than a tenth of
//! the time. One node alone never goes over a limit; several together may, by what they accept between two counts. While
//! the store does not count, nothing is turned away here. Nothing is kept: a node that starts counts anew.

mod gauge;

use super::Result;
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

/// The queues of a deployment, as this node sees them.
pub struct Admission {
    store: Arc<dyn Store>,
    /// Where an agent does not say: tasks that may wait, and those of one owner.
    defaults: (u32, u32),
    gauges: Mutex<HashMap<Queue, Arc<Gauge>>>,
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
    pub fn new(store: Arc<dyn Store>, max_queued: u32, max_queued_per_owner: u32) -> Self {
        Self { store, defaults: (max_queued, max_queued_per_owner), gauges: Mutex::default() }
    }

    /// Lets one task of an owner in, or says why not.
    pub async fn admit(&self, agent: &AgentDescriptor, owner: OwnerId) -> Result<Admitted> {
        let of_agent = agent.limits.queued.unwrap_or(self.defaults.0);
        let of_owner = agent.limits.queued_per_owner.unwrap_or(self.defaults.1);
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
        let gauge = self.gauge((agent.clone(), owner));
        let (store, agent) = (Arc::clone(&self.store), agent.clone());
        let count = || async move { store.queue_depth(&agent, owner, limit).await };
        gauge.place(limit, count).await
    }

    fn gauge(&self, queue: Queue) -> Arc<Gauge> {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        if gauges.len() >= REMEMBERED && !gauges.contains_key(&queue) {
            gauges.retain(|_, gauge| Arc::strong_count(gauge) > 1);
        }
        Arc::clone(gauges.entry(queue).or_default())
    }
}

fn full(why: String) -> ProtocolError {
    ProtocolError::ResourceExhausted { why, retry_after: RETRY_AFTER }
}
