//! Wake-ups over RabbitMQ: one queue per agent, competing consumers.
//!
//! Guarantee: API nodes and workers behave the same whether the broker is up, down, slow, full or
//! recovering; only new work starts later. Connections are opened in the background and reopened
//! when they fail. A crash on either side loses or repeats hints only.

mod connection;
mod health;
mod inbox;
mod message;
mod options;
mod outbox;
mod publisher;
mod source_driver;
mod subscriptions;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use longhaul_domain::AgentName;
use longhaul_runtime::{TaskSet, readiness::ComponentHandle};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

pub use options::AmqpOptions;

use self::{
    connection::{AmqpError, BrokerConnection},
    health::FlowHealth,
    inbox::Inbox,
    outbox::{Outbox, ProbeRequest},
    publisher::{Publisher, PublisherParts},
    source_driver::{SourceDriver, SourceDriverParts},
};
use crate::{
    Delivery, Dispatch, DispatchCounts, DispatchError, WakeSource, Waker, counters::Counters,
};

/// Maximum number of probe requests that wait for the publisher.
const MAX_PROBE_REQUESTS: usize = 64;

/// The dispatcher over RabbitMQ.
pub struct AmqpDispatch {
    options: Arc<AmqpOptions>,
    counters: Arc<Counters>,
    health: Arc<FlowHealth>,
    outbox: Arc<Outbox>,
    probes: mpsc::Sender<ProbeRequest>,
    tasks: TaskSet,
    closing: CancellationToken,
}

impl AmqpDispatch {
    /// Starts to connect in the background. `component` reports whether messages flow, as proven by
    /// probes: the broker confirms publishes and, for each source, a message sent to it arrives.
    ///
    /// Must be called within a Tokio runtime. The only error is [`DispatchError::BadAddress`].
    pub fn start(
        options: AmqpOptions,
        component: Option<ComponentHandle>,
    ) -> Result<Self, DispatchError> {
        options.address()?;
        let options = Arc::new(options);
        let counters = Arc::new(Counters::default());
        let health = FlowHealth::new(component);
        let (closing, tasks) = (CancellationToken::new(), TaskSet::new());
        let (outbox, hints) = Outbox::new(options.outbox_capacity, Arc::clone(&counters));
        let (probes, requests) = mpsc::channel(MAX_PROBE_REQUESTS);
        let publisher = Publisher::new(PublisherParts {
            options: Arc::clone(&options),
            outbox: hints,
            probes: requests,
            counters: Arc::clone(&counters),
            reporter: health.register(),
            closing: closing.clone(),
        });
        tasks.spawn("wake-up publisher", publisher.run());
        Ok(Self { options, counters, health, outbox: Arc::new(outbox), probes, tasks, closing })
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
        let driver = SourceDriver::new(SourceDriverParts {
            options: Arc::clone(&self.options),
            agents: agents.clone(),
            inbox: Arc::clone(&inbox),
            probes: self.probes.clone(),
            counters: Arc::clone(&self.counters),
            reporter: self.health.register(),
            stop: stop.clone(),
        });
        self.tasks.spawn("wake-up source", driver.run());
        Ok(Box::new(AmqpSource { agents, inbox, stop }))
    }

    async fn declare(&self, agents: &[AgentName]) -> Result<(), DispatchError> {
        let unavailable = |error: AmqpError| DispatchError::Unavailable(error.to_string());
        let options = &self.options;
        let opened = BrokerConnection::open(options, "declare").await;
        let connection = opened.map_err(unavailable)?;
        for agent in agents {
            let declare = connection.declare_queue(options, agent);
            match timeout(options.connect_timeout, declare).await {
                Ok(declared) => declared.map_err(unavailable)?,
                Err(_) => return Err(DispatchError::Unavailable("it does not answer".to_owned())),
            }
        }
        connection.close().await;
        Ok(())
    }

    async fn wait_connected(&self, limit: Duration) -> Result<(), DispatchError> {
        let mut healthy = self.health.subscribe();
        match timeout(limit, healthy.wait_for(|healthy| *healthy)).await {
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
        if timeout(self.options.close_timeout, self.tasks.wait()).await.is_err() {
            tracing::warn!("wake-ups dropped on close: broker too slow; workers poll");
        }
    }
}
