//! The registered agents, cached for a few seconds.
//!
//! Workers register agents, and agents stay. A name that is not in the cache is looked up at once,
//! so a new agent is found as soon as it is registered. While the store is unavailable the last
//! list stands. One request refreshes the list for all that wait.

use longhaul_domain::{AgentDescriptor, AgentName};
use longhaul_store::{Result, Store, StoreError};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Time for which the list counts as fresh, and shortest time between two reads for a name that is
/// not on it.
const LIST_TTL: Duration = Duration::from_secs(5);
const MIN_REREAD_INTERVAL: Duration = Duration::from_millis(200);

type AgentMap = Arc<BTreeMap<AgentName, Arc<AgentDescriptor>>>;

/// Cached list of the deployment's agents.
pub struct AgentDirectory {
    store: Arc<dyn Store>,
    cached: Mutex<CachedAgents>,
    /// Held by the request that reads the list.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct CachedAgents {
    /// The list and the time at which it was read.
    list: Option<(Instant, AgentMap)>,
    /// Time and message of the last failed read.
    failed: Option<(Instant, String)>,
}

impl AgentDirectory {
    /// An empty cache; nothing is read yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, cached: Mutex::default(), refreshing: tokio::sync::Mutex::default() }
    }

    /// Finds an agent by name.
    pub async fn get(&self, name: &AgentName) -> Result<Option<Arc<AgentDescriptor>>> {
        if let Some(agent) = self.list(LIST_TTL).await?.get(name) {
            return Ok(Some(Arc::clone(agent)));
        }
        Ok(self.list(MIN_REREAD_INTERVAL).await?.get(name).cloned())
    }

    /// All agents.
    pub async fn all(&self) -> Result<AgentMap> {
        let list = self.list(LIST_TTL).await?;
        if list.is_empty() { self.list(MIN_REREAD_INTERVAL).await } else { Ok(list) }
    }

    /// The list, at most `max_age` old. A stale list is returned instead of waiting for a refresh
    /// in progress, if the usual age was asked for.
    async fn list(&self, max_age: Duration) -> Result<AgentMap> {
        let requested_at = Instant::now();
        let stale = {
            let known = self.cached();
            match &known.list {
                Some((at, list)) if at.elapsed() < max_age => return Ok(Arc::clone(list)),
                other => other.as_ref().map(|(_, list)| Arc::clone(list)),
            }
        };
        let _reading = match (self.refreshing.try_lock(), stale) {
            (Ok(refreshing), _) => refreshing,
            // Another request is reading; the stale list serves the usual age.
            (Err(_), Some(stale)) if max_age >= LIST_TTL => return Ok(stale),
            // A name is missing from it: wait for that read and use its result.
            (Err(_), _) => self.refreshing.lock().await,
        };
        if let Some(answer) = self.refreshed_since(requested_at) {
            return answer;
        }
        self.refresh().await
    }

    /// Result of a refresh that another request finished while this one waited.
    fn refreshed_since(&self, requested_at: Instant) -> Option<Result<AgentMap>> {
        let known = self.cached();
        match (&known.list, &known.failed) {
            (Some((at, list)), _) if *at >= requested_at => Some(Ok(Arc::clone(list))),
            (Some((_, list)), Some((at, _))) if *at >= requested_at => Some(Ok(Arc::clone(list))),
            (None, Some((at, why))) if *at >= requested_at => {
                Some(Err(StoreError::Unavailable(why.clone())))
            }
            _ => None,
        }
    }

    async fn refresh(&self) -> Result<AgentMap> {
        match self.store.agents().await {
            Ok(agents) => {
                let named = agents.into_iter().map(|agent| (agent.name.clone(), Arc::new(agent)));
                let list: AgentMap = Arc::new(named.collect());
                self.cached().list = Some((Instant::now(), Arc::clone(&list)));
                Ok(list)
            }
            Err(StoreError::Unavailable(why)) => {
                // The last list stands while the store is unavailable.
                let mut known = self.cached();
                known.failed = Some((Instant::now(), why.clone()));
                let stale = known.list.as_ref().map(|(_, list)| Arc::clone(list));
                stale.ok_or(StoreError::Unavailable(why))
            }
            Err(error) => Err(error),
        }
    }

    fn cached(&self) -> MutexGuard<'_, CachedAgents> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
