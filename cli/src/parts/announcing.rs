//! Wake-ups without a broker: the store announces that there is work, and every worker looks.
//!
//! For small deployments: all free workers wake, not one. A lost announcement costs one probe interval.

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

/// Passes wake-ups on through the store.
pub struct Announcing {
    store: Arc<dyn Store>,
    closed: CancellationToken,
}

impl Announcing {
    /// Through this store.
    pub fn through(store: Arc<dyn Store>) -> Self {
        Self { store, closed: CancellationToken::new() }
    }
}

struct Announcer(Arc<dyn Store>);

impl Waker for Announcer {
    fn wake(&self, wake: WakeHint) {
        self.0.announce(&wake.agent, wake.task);
    }
}

/// What one worker hears, from before its first look into the store on, so that nothing falls between the two.
struct Listener {
    store: Arc<dyn Store>,
    agents: BTreeSet<AgentName>,
    signals: Option<SignalStream<ControlSignal>>,
    closed: CancellationToken,
    failures: u32,
}

impl Listener {
    /// The next announcement for one of the agents.
    async fn hear(&mut self) -> WakeHint {
        loop {
            let Some(signals) = &mut self.signals else {
                self.listen().await;
                continue;
            };
            let due = match signals.next().await {
                Some(ControlSignal::Runnable(due)) => due,
                // The probing covers what was missed.
                Some(
                    ControlSignal::Missed | ControlSignal::Cancel(_) | ControlSignal::Message(_),
                ) => {
                    continue;
                }
                None => {
                    self.signals = None;
                    continue;
                }
            };
            let mine = due.into_iter().find(|(agent, _)| self.agents.contains(agent));
            if let Some((agent, task)) = mine {
                return WakeHint { agent, task, trace: None };
            }
        }
    }

    async fn listen(&mut self) {
        if let Ok(signals) = self.store.control_signals().await {
            (self.signals, self.failures) = (Some(signals), 0);
        } else {
            tokio::time::sleep(Backoff::DATABASE.random_delay(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
    }
}

#[async_trait]
impl WakeSource for Listener {
    async fn next(&mut self) -> Option<Delivery> {
        let closed = self.closed.clone();
        // Everybody heard it: there is nothing to acknowledge or to hand back.
        let heard = closed.run_until_cancelled(self.hear()).await;
        heard.map(|wake| Delivery::new(wake, |_| {}))
    }

    async fn pause(&mut self) {}

    async fn resume(&mut self) {}
}

#[async_trait]
impl Dispatch for Announcing {
    fn waker(&self) -> Arc<dyn Waker> {
        Arc::new(Announcer(Arc::clone(&self.store)))
    }

    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError> {
        if self.closed.is_cancelled() {
            return Err(DispatchError::Closed);
        }
        Ok(Box::new(Listener {
            store: Arc::clone(&self.store),
            agents: agents.into_iter().collect(),
            signals: self.store.control_signals().await.ok(),
            closed: self.closed.clone(),
            failures: 0,
        }))
    }

    async fn declare(&self, _: &[AgentName]) -> Result<(), DispatchError> {
        Ok(())
    }

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
    async fn every_listener_hears_what_is_for_its_agents() {
        let (store, _folder) = temp_store().await.unwrap();
        let dispatch = Announcing::through(store);
        let agents = vec![AgentName::new("mine").unwrap()];
        let mut one = dispatch.source(agents.clone()).await.unwrap();
        let mut two = dispatch.source(agents).await.unwrap();
        let heard = async {
            let (one, two) = tokio::join!(one.next(), two.next());
            for heard in [one, two] {
                assert_eq!(heard.unwrap().wake, wake("mine"));
            }
        };
        let told = async {
            loop {
                dispatch.waker().wake(wake("other"));
                dispatch.waker().wake(wake("mine"));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { () = heard => {}, () = told => {} }
        dispatch.close().await;
        assert!(one.next().await.is_none());
    }
}
