//! Dispatch without a broker: the store announces runnable work to all workers.
//!
//! Meant for small deployments, as every free worker wakes for each task. A lost announcement costs
//! one probe interval, never a task.

use async_trait::async_trait;
use futures::StreamExt;
use longhaul_dispatch::{
    Delivery, Dispatch, DispatchCounts, DispatchError, WakeHint, WakeSource, Waker,
};
use longhaul_domain::AgentName;
use longhaul_runtime::Backoff;
use longhaul_store::{ControlSignal, SignalStream, Store};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Dispatch through announcements of the store.
pub struct StoreDispatch {
    store: Arc<dyn Store>,
    closed: CancellationToken,
}

impl StoreDispatch {
    /// Creates the dispatch of a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, closed: CancellationToken::new() }
    }
}

struct StoreWaker(Arc<dyn Store>);

impl Waker for StoreWaker {
    fn wake(&self, wake: WakeHint) {
        self.0.announce(&wake.agent, wake.task);
    }
}

/// The announcements for one worker. It subscribes before the worker first reads the store, so that
/// no task falls between the two.
struct StoreWakeSource {
    store: Arc<dyn Store>,
    agents: BTreeSet<AgentName>,
    signals: Option<SignalStream<ControlSignal>>,
    closed: CancellationToken,
    failures: u32,
}

impl StoreWakeSource {
    /// Waits for an announcement for one of the agents.
    async fn next_wake(&mut self) -> WakeHint {
        loop {
            let Some(signals) = &mut self.signals else {
                self.subscribe().await;
                continue;
            };
            let runnable = match signals.next().await {
                Some(ControlSignal::Runnable(runnable)) => runnable,
                // Probing covers missed signals; the others are not for dispatch.
                Some(
                    ControlSignal::Missed | ControlSignal::Cancel(_) | ControlSignal::Message(_),
                ) => {
                    continue;
                }
                // The stream ends with its connection: subscribe again.
                None => {
                    self.signals = None;
                    continue;
                }
            };
            let own = runnable.into_iter().find(|(agent, _)| self.agents.contains(agent));
            if let Some((agent, task)) = own {
                return WakeHint { agent, task, trace: None };
            }
        }
    }

    async fn subscribe(&mut self) {
        if let Ok(signals) = self.store.control_signals().await {
            (self.signals, self.failures) = (Some(signals), 0);
        } else {
            tokio::time::sleep(Backoff::DATABASE.random_delay(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
    }
}

#[async_trait]
impl WakeSource for StoreWakeSource {
    async fn next(&mut self) -> Option<Delivery> {
        let closed = self.closed.clone();
        let wake = closed.run_until_cancelled(self.next_wake()).await;
        // Every worker gets each announcement, so there is nothing to acknowledge.
        wake.map(|wake| Delivery::new(wake, |_| {}))
    }

    // An announcement is a hint that may be lost, so pausing needs no work.
    async fn pause(&mut self) {}

    async fn resume(&mut self) {}
}

#[async_trait]
impl Dispatch for StoreDispatch {
    fn waker(&self) -> Arc<dyn Waker> {
        Arc::new(StoreWaker(Arc::clone(&self.store)))
    }

    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError> {
        if self.closed.is_cancelled() {
            return Err(DispatchError::Closed);
        }
        Ok(Box::new(StoreWakeSource {
            store: Arc::clone(&self.store),
            agents: agents.into_iter().collect(),
            // A failed subscription is repeated before the first wait.
            signals: self.store.control_signals().await.ok(),
            closed: self.closed.clone(),
            failures: 0,
        }))
    }

    // There are no queues to declare.
    async fn declare(&self, _: &[AgentName]) -> Result<(), DispatchError> {
        Ok(())
    }

    // The store is connected before the dispatch exists.
    async fn wait_connected(&self, _: Duration) -> Result<(), DispatchError> {
        Ok(())
    }

    fn counts(&self) -> DispatchCounts {
        DispatchCounts::default()
    }

    async fn close(&self) {
        self.closed.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{OwnerId, TaskId, TaskKey};
    use longhaul_store_sqlite::testing::temp_store;

    fn wake(agent: &str) -> WakeHint {
        let task = TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(uuid::Uuid::nil()) };
        WakeHint { agent: AgentName::new(agent).unwrap(), task, trace: None }
    }

    #[tokio::test]
    async fn every_worker_gets_the_wakes_of_its_agents() {
        let (store, _folder) = temp_store().await.unwrap();
        let dispatch = StoreDispatch::new(store);
        let agents = vec![AgentName::new("mine").unwrap()];
        let mut one = dispatch.source(agents.clone()).await.unwrap();
        let mut two = dispatch.source(agents).await.unwrap();
        let received = async {
            let (one, two) = tokio::join!(one.next(), two.next());
            for delivery in [one, two] {
                assert_eq!(delivery.unwrap().wake, wake("mine"));
            }
        };
        let announce = async {
            loop {
                dispatch.waker().wake(wake("other"));
                dispatch.waker().wake(wake("mine"));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { () = received => {}, () = announce => {} }
        dispatch.close().await;
        assert!(one.next().await.is_none());
    }
}
