//! Wake-ups over RabbitMQ: one queue per agent, competing consumers.
//!
//! Guarantee: an API node or a worker behaves the same with the broker up, down, slow, full or coming back, but for the
//! latency of new work. Connections are made in the background and made again when they fail. A crash on either side loses
//! or repeats hints only.

mod address;
mod body;
mod driver;
mod flight;
mod health;
mod inbox;
mod lines;
mod link;
mod merging;
mod outbox;
mod publisher;
mod settings;
mod socket;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use longhaul_domain::AgentName;
use longhaul_runtime::{TaskSet, readiness::ComponentHandle};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

pub use settings::AmqpOptions;

use self::{
    driver::Driver, health::Health, inbox::Inbox, link::Link, outbox::Outbox, outbox::ProofRequest,
    publisher::Publisher,
};
use crate::{
    Delivery, Dispatch, DispatchCounts, DispatchError, WakeSource, Waker, counters::Counters,
};

/// Proofs that sources may ask for at a time.
const PROOFS: usize = 64;

/// The dispatcher of a deployment with RabbitMQ.
pub struct AmqpDispatch {
    settings: Arc<AmqpOptions>,
    counters: Arc<Counters>,
    health: Arc<Health>,
    outbox: Arc<Outbox>,
    proofs: mpsc::Sender<ProofRequest>,
    tasks: TaskSet,
    closing: CancellationToken,
}

impl AmqpDispatch {
    /// Begins to connect, in the background. `component` is told whether messages are proven to flow: that the broker
    /// confirms what is published and, for each source, that a message sent to it arrives.
    ///
    /// Must be called within a Tokio runtime; [`DispatchError::BadAddress`] is its only error.
    pub fn start(
        settings: AmqpOptions,
        component: Option<ComponentHandle>,
    ) -> Result<Self, DispatchError> {
        settings.address()?;
        let settings = Arc::new(settings);
        let counters = Arc::new(Counters::default());
        let health = Health::new(component);
        let (closing, tasks) = (CancellationToken::new(), TaskSet::new());
        let (outbox, outgoing) = Outbox::new(settings.outbox, Arc::clone(&counters));
        let (proofs, requests) = mpsc::channel(PROOFS);
        let publisher = Publisher::new(publisher::Parts {
            settings: Arc::clone(&settings),
            outbox: outgoing,
            proofs: requests,
            counters: Arc::clone(&counters),
            leg: health.leg(),
            closing: closing.clone(),
        });
        tasks.spawn("wake-up publisher", publisher.run());
        Ok(Self { settings, counters, health, outbox: Arc::new(outbox), proofs, tasks, closing })
    }
}

impl Drop for AmqpDispatch {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

struct AmqpSource {
    agents: Vec<AgentName>,
    inbox: Arc<Inbox>,
    stop: CancellationToken,
}

#[async_trait]
impl WakeSource for AmqpSource {
    async fn next(&mut self) -> Option<Delivery> {
        self.inbox.next().await
    }

    async fn pause(&mut self) {
        self.inbox.pause(self.agents.iter().cloned().collect());
    }

    async fn resume(&mut self) {
        self.inbox.pause(BTreeSet::new());
    }

    async fn receive_for(&mut self, agents: &BTreeSet<AgentName>) {
        let others = self.agents.iter().filter(|agent| !agents.contains(agent));
        self.inbox.pause(others.cloned().collect());
    }
}

impl Drop for AmqpSource {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Dispatch for AmqpDispatch {
    fn waker(&self) -> Arc<dyn Waker> {
        Arc::<Outbox>::clone(&self.outbox)
    }

    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError> {
        if self.closing.is_cancelled() {
            return Err(DispatchError::Closed);
        }
        let (inbox, stop) = (Arc::new(Inbox::default()), self.closing.child_token());
        let driver = Driver::new(driver::Parts {
            settings: Arc::clone(&self.settings),
            agents: agents.clone(),
            inbox: Arc::clone(&inbox),
            proofs: self.proofs.clone(),
            counters: Arc::clone(&self.counters),
            leg: self.health.leg(),
            stop: stop.clone(),
        });
        self.tasks.spawn("wake-up source", driver.run());
        Ok(Box::new(AmqpSource { agents, inbox, stop }))
    }

    async fn declare(&self, agents: &[AgentName]) -> Result<(), DispatchError> {
        let unavailable = |error: link::Trouble| DispatchError::Unavailable(error.to_string());
        let link = Link::open(&self.settings, "declare").await.map_err(unavailable)?;
        for agent in agents {
            let declared =
                timeout(self.settings.connect_timeout, link.declare(&self.settings, agent));
            match declared.await {
                Ok(declared) => declared.map_err(unavailable)?,
                Err(_) => return Err(DispatchError::Unavailable("it does not answer".to_owned())),
            }
        }
        link.close().await;
        Ok(())
    }

    async fn wait_connected(&self, limit: Duration) -> Result<(), DispatchError> {
        let mut proven = self.health.proven();
        match timeout(limit, proven.wait_for(|proven| *proven)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(DispatchError::Closed),
            Err(_) => Err(DispatchError::Unavailable(format!("not connected within {limit:?}"))),
        }
    }

    fn counts(&self) -> DispatchCounts {
        self.counters.snapshot()
    }

    async fn close(&self) {
        self.closing.cancel();
        if timeout(self.settings.close_timeout, self.tasks.wait()).await.is_err() {
            tracing::warn!("the broker did not take the last wake-ups in time; workers probe");
        }
    }
}
