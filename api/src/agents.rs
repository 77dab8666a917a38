//! Which agents there are, remembered for a moment.
//!
//! Agents are registered by workers and stay. A name that is not known is looked up at once, so that a new agent is found
//! as soon as it is there; while the store does not answer, what was known stands.

use longhaul_domain::{AgentDescriptor, AgentName};
use longhaul_runtime::Clock;
use longhaul_store::{Result, Store};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// How long the list counts as fresh, and how soon it is read again for a name that is not on it; milliseconds.
const FRESH_MS: i64 = 5_000;
const RETRY_MS: i64 = 200;

type List = Arc<BTreeMap<AgentName, Arc<AgentDescriptor>>>;

/// The agents of the deployment.
pub struct Agents {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The list, and when it was read, in milliseconds.
    known: Mutex<Option<(i64, List)>>,
}

impl Agents {
    /// Nothing is read yet.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: Mutex::new(None) }
    }

    /// An agent by name.
    pub async fn get(&self, name: &AgentName) -> Result<Option<Arc<AgentDescriptor>>> {
        if let Some(agent) = self.list(FRESH_MS).await?.get(name) {
            return Ok(Some(Arc::clone(agent)));
        }
        Ok(self.list(RETRY_MS).await?.get(name).cloned())
    }

    /// Every agent.
    pub async fn all(&self) -> Result<List> {
        let list = self.list(FRESH_MS).await?;
        if list.is_empty() { self.list(RETRY_MS).await } else { Ok(list) }
    }

    /// The list, no older than this.
    async fn list(&self, max_age: i64) -> Result<List> {
        let now = self.clock.now().timestamp_millis();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, list)) = &known
            && now - at < max_age
        {
            return Ok(Arc::clone(list));
        }
        match self.store.agents().await {
            Ok(agents) => {
                let named = agents.into_iter().map(|agent| (agent.name.clone(), Arc::new(agent)));
                let list: List = Arc::new(named.collect());
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some((now, Arc::clone(&list)));
                Ok(list)
            }
            Err(error) => match known {
                Some((_, list)) if error.is_transient() => Ok(list),
                _ => Err(error),
            },
        }
    }
}
