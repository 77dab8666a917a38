//! The seam between those who have work and those who do it.
//!
//! Guarantee: no method but [`WakeSource::next`] waits for long, and none fails because a broker is away, save those that
//! say so. A crash between a commit and its wake-up leaves the task to the probing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use longhaul_domain::{AgentName, TaskKey};
use longhaul_runtime::TraceContext;

use crate::{Delivery, DispatchCounts};

/// "There is work for this agent": the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeHint {
    /// Whose queue it goes to.
    pub agent: AgentName,
    /// The task that caused it. A worker may claim it first; it need not be the next in order, nor still be there.
    pub task: TaskKey,
    /// The trace of whoever caused it.
    pub trace: Option<TraceContext>,
}

/// Why something could not be done now. Never the fate of a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The setting is no AMQP address; shown without its password.
    #[error("not an AMQP address: {0}")]
    BadAddress(String),
    /// The broker did not do it in time, or refused.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The dispatcher was closed.
    #[error("wake-ups are closed")]
    Closed,
}

/// The side of those who have work: API nodes, and workers that re-queue.
pub trait Waker: Send + Sync {
    /// Passes a hint on, after the commit that it tells of. Never waits and never fails: what does not fit into the outbox
    /// is dropped and counted. Hints for one agent that wait for their way may be merged into one that says how many they are;
    /// one that has left is never taken for a later one.
    fn wake(&self, wake: WakeHint);
}

/// The side of a worker process: hints for its agents, from one or many queues.
///
/// Sources compete: a hint goes to one of them. Dropping a source hands back what it holds.
#[async_trait]
pub trait WakeSource: Send {
    /// The next hint; `None` after [`Dispatch::close`] and never before. Cancel-safe. Silent while paused or without broker.
    async fn next(&mut self) -> Option<Delivery>;

    /// The worker has no free slot: nothing is received any more, and what has arrived goes back for other workers. Does
    /// not wait for the broker.
    async fn pause(&mut self);

    /// Ends a pause. Does not wait for the broker.
    async fn resume(&mut self);

    /// The worker has free slots for these agents only: for the others it is paused. Does not wait for the broker. A source
    /// whose hints go to every worker need not tell its agents apart.
    async fn receive_for(&mut self, agents: &BTreeSet<AgentName>) {
        if agents.is_empty() {
            self.pause().await;
        } else {
            self.resume().await;
        }
    }
}

/// A way of passing wake-ups on.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// The sending side; all of them share one outbox.
    fn waker(&self) -> Arc<dyn Waker>;

    /// The receiving side for some agents. Works at once, whether or not the broker is there; [`DispatchError::Closed`]
    /// after a close is its only error.
    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError>;

    /// Makes sure that the agents' queues exist. Not needed for correctness: sources do it too, and so does the first hint
    /// to a missing queue.
    async fn declare(&self, agents: &[AgentName]) -> Result<(), DispatchError>;

    /// Waits until everything that was opened is proven to work, for a start that insists on its broker.
    async fn wait_connected(&self, limit: Duration) -> Result<(), DispatchError>;

    /// What has passed through so far.
    fn counts(&self) -> DispatchCounts;

    /// Sends what is in the outbox, within a bound, and ends all sources. Hints of later calls are dropped and counted.
    async fn close(&self);
}
