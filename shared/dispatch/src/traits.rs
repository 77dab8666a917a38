//! The dispatcher interface between producers of work and workers.
//!
//! Guarantee: only [`WakeSource::next`] waits for long, and a missing broker fails no method except
//! those that say so. After a crash between a commit and its wake-up, a polling worker finds the
//! task.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use longhaul_domain::AgentName;

use crate::{Delivery, DispatchCounts, WakeHint};

/// The error of a dispatcher operation. It never affects a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The setting is no AMQP URL; shown without its password.
    #[error("not an AMQP address: {0}")]
    BadAddress(String),
    /// The broker did not respond in time, or refused.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The dispatcher is closed.
    #[error("wake-ups are closed")]
    Closed,
}

/// The sending side, for API nodes and for workers that requeue runs.
pub trait Waker: Send + Sync {
    /// Sends a hint; call it after the commit of the work. Never waits and never fails: hints that
    /// do not fit into the outbox are dropped and counted. Waiting hints for one agent may be
    /// coalesced into one with their number; hints in flight are never coalesced with later ones.
    fn wake(&self, wake: WakeHint);
}

/// The receiving side, for workers: hints for their agents from one or many queues.
///
/// Sources compete: each hint goes to one of them. Dropping a source requeues the hints that it
/// holds.
#[async_trait]
pub trait WakeSource: Send {
    /// Waits for the next hint; `None` only after [`Dispatch::close`]. Cancel-safe. Silent while
    /// paused or without broker.
    async fn next(&mut self) -> Option<Delivery>;

    /// Stops receiving, because the worker has no free slot, and requeues arrived hints for other
    /// workers. Does not wait for the broker.
    async fn pause(&mut self);

    /// Resumes receiving. Does not wait for the broker.
    async fn resume(&mut self);

    /// Receives for these agents only, because the worker has free slots for no others. Does not
    /// wait for the broker. Sources whose hints go to every worker need not distinguish agents.
    async fn receive_for(&mut self, agents: &BTreeSet<AgentName>) {
        if agents.is_empty() {
            self.pause().await;
        } else {
            self.resume().await;
        }
    }
}

/// A dispatcher of wake-ups.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// The sending side; all wakers share one outbox.
    fn waker(&self) -> Arc<dyn Waker>;

    /// Creates a receiving side for these agents, without waiting for the broker. The only error is
    /// [`DispatchError::Closed`], after a close.
    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError>;

    /// Declares the agents' queues. Optional: sources and the first hint to a missing queue do so
    /// too.
    async fn declare(&self, agents: &[AgentName]) -> Result<(), DispatchError>;

    /// Waits until all open message paths are proven to work, for processes that require their
    /// broker at start.
    async fn wait_connected(&self, limit: Duration) -> Result<(), DispatchError>;

    /// The counts so far.
    fn counts(&self) -> DispatchCounts;

    /// Sends the hints in the outbox, within a time limit, and ends all sources. Later hints are
    /// dropped and counted.
    async fn close(&self);
}
