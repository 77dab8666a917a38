//! Admission control: new tasks are rejected, with a time to retry, when their queue is full or
//! when more clients wait for it than it can serve soon.
//!
//! Queue depths are counted rarely and extrapolated from the tasks accepted here since, so a request
//! costs no count: a count is up to 1 s old, near the limit 0.1 s, and counting takes at most a
//! tenth of the time. One node exceeds a limit only when workers take less away than before;
//! several nodes may, with the tasks that they accept between two counts. While the store cannot count, the
//! last count and what was accepted here since decide. Nothing is persisted: a restarted node
//! counts anew.

use super::{
    Result,
    depth_gauge::{DepthGauge, DepthPermit},
    wait_limiter::{Overloaded, WaitLimiter, Waiter},
};
use longhaul_domain::{AgentDescriptor, AgentName, OwnerId};
use longhaul_store::Store;
use longhaul_wire::ProtocolError;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// `Retry-After` for a full queue.
const FULL_QUEUE_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Queues remembered; beyond that, those that no request is using are dropped.
const MAX_REMEMBERED_QUEUES: usize = 10_000;

/// The queue of an agent, or one owner's share of it.
type QueueKey = (AgentName, Option<OwnerId>);

/// Queue limits of agents that set none themselves.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Most queued tasks.
    pub queued: u32,
    /// Most queued tasks of one owner.
    pub queued_per_owner: u32,
    /// Longest time that clients may wait for their tasks to begin.
    pub delay: Duration,
}

/// The queues of a deployment, as seen by this node.
pub struct Admission {
    store: Arc<dyn Store>,
    limits: QueueLimits,
    depth_gauges: Mutex<HashMap<QueueKey, Arc<DepthGauge>>>,
    wait_limiters: Mutex<HashMap<QueueKey, Arc<WaitLimiter>>>,
}

/// The right to add one task to its queue; returned unless the task is accepted.
#[derive(Debug)]
pub struct QueuePermit(Vec<DepthPermit>);

impl QueuePermit {
    /// Keeps the places: the task is in the queue.
    pub fn consume(self) {
        self.0.into_iter().for_each(DepthPermit::consume);
    }
}

impl Admission {
    /// An admission control that has counted nothing yet.
    pub fn new(store: Arc<dyn Store>, limits: QueueLimits) -> Self {
        Self { store, limits, depth_gauges: Mutex::default(), wait_limiters: Mutex::default() }
    }

    /// Lets one client of an owner wait for its task to begin, unless too many wait already.
    pub fn start_waiting(&self, agent: &AgentName, owner: OwnerId) -> Result<Waiter> {
        // Limited by owner: one that sends too much delays nobody else.
        let wait_limiter = entry_for(&self.wait_limiters, (agent.clone(), Some(owner)));
        wait_limiter.start_waiting(self.limits.delay).map_err(|Overloaded { waiting, rate }| {
            exhausted(format!(
                "{waiting} clients wait for agent {agent}, which begins {rate} tasks a second; send again later, or with returnImmediately"
            ))
        })
    }

    /// Admits one task of an owner, unless a queue is full.
    pub async fn admit(&self, agent: &AgentDescriptor, owner: OwnerId) -> Result<QueuePermit> {
        let of_agent = agent.limits.queued.unwrap_or(self.limits.queued);
        let of_owner = agent.limits.queued_per_owner.unwrap_or(self.limits.queued_per_owner);
        let name = &agent.name;
        let mut permits = Vec::with_capacity(2);
        // An owner that may fill the whole queue needs no count of its own.
        if of_owner < of_agent {
            let permit = self.reserve(name, Some(owner), of_owner).await;
            permits.push(permit.ok_or_else(|| {
                exhausted(format!(
                    "{of_owner} of your tasks wait for agent {name}, as many as one owner may have; send again when some have been started, or cancel some"
                ))
            })?);
        }
        let permit = self.reserve(name, None, of_agent).await;
        permits.push(permit.ok_or_else(|| {
            exhausted(format!(
                "The queue of agent {name} is full with {of_agent} tasks; send again later, or have workers added or the limit raised"
            ))
        })?);
        Ok(QueuePermit(permits))
    }

    async fn reserve(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Option<DepthPermit> {
        let depth_gauge = entry_for(&self.depth_gauges, (agent.clone(), owner));
        let count = || {
            let (store, agent) = (Arc::clone(&self.store), agent.clone());
            async move { store.queue_depth(&agent, owner, limit).await }
        };
        depth_gauge.reserve(limit, count).await
    }
}

/// The entry of a queue, created on first use.
fn entry_for<T: Default>(known: &Mutex<HashMap<QueueKey, Arc<T>>>, queue: QueueKey) -> Arc<T> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MAX_REMEMBERED_QUEUES && !known.contains_key(&queue) {
        known.retain(|_, of_queue| Arc::strong_count(of_queue) > 1);
    }
    Arc::clone(known.entry(queue).or_default())
}

fn exhausted(why: String) -> ProtocolError {
    ProtocolError::ResourceExhausted { why, retry_after: FULL_QUEUE_RETRY_AFTER }
}
