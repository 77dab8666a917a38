//! Which agents there are, remembered for a moment.
//!
//! Agents are registered by workers and stay. A name that is not known is looked up at once, so that a new agent is found
//! as soon as it is there; while the store does not answer, what was known stands. One request reads the list, for all
//! that come meanwhile.

use longhaul_domain::{AgentDescriptor, AgentName};
use longhaul_store::{Result, Store, StoreError};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long the list counts as fresh, and how soon it is read again for a name that is not on it.
const FRESH: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(200);

type List = Arc<BTreeMap<AgentName, Arc<AgentDescriptor>>>;

/// The agents of the deployment.
pub struct Agents {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
    /// Held by the one that reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// The list, and when it was read.
    list: Option<(Instant, List)>,
    /// When the store last failed to answer, and how.
    failed: Option<(Instant, String)>,
}

impl Agents {
    /// Nothing is read yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// An agent by name.
    pub async fn get(&self, name: &AgentName) -> Result<Option<Arc<AgentDescriptor>>> {
        if let Some(agent) = self.list(FRESH).await?.get(name) {
            return Ok(Some(Arc::clone(agent)));
        }
        Ok(self.list(RETRY).await?.get(name).cloned())
    }

    /// Every agent.
    pub async fn all(&self) -> Result<List> {
        let list = self.list(FRESH).await?;
        if list.is_empty() { self.list(RETRY).await } else { Ok(list) }
    }

    /// The list, no older than this; older where somebody else is reading it and an old one will do.
    async fn list(&self, max_age: Duration) -> Result<List> {
        let asked = Instant::now();
        let stale = {
            let known = self.known();
            match &known.list {
                Some((at, list)) if at.elapsed() < max_age => return Ok(Arc::clone(list)),
                other => other.as_ref().map(|(_, list)| Arc::clone(list)),
            }
        };
        let _reading = match (self.reading.try_lock(), stale) {
            (Ok(reading), _) => reading,
            (Err(_), Some(stale)) if max_age >= FRESH => return Ok(stale),
            (Err(_), _) => self.reading.lock().await,
        };
        if let Some(answer) = self.read_since(asked) {
            return answer;
        }
        self.read().await
    }

    /// What somebody else read while the caller waited for its turn.
    fn read_since(&self, asked: Instant) -> Option<Result<List>> {
        let known = self.known();
        match (&known.list, &known.failed) {
            (Some((at, list)), _) if *at >= asked => Some(Ok(Arc::clone(list))),
            (Some((_, list)), Some((at, _))) if *at >= asked => Some(Ok(Arc::clone(list))),
            (None, Some((at, why))) if *at >= asked => {
                Some(Err(StoreError::Unavailable(why.clone())))
            }
            _ => None,
        }
    }

    async fn read(&self) -> Result<List> {
        match self.store.agents().await {
            Ok(agents) => {
                let named = agents.into_iter().map(|agent| (agent.name.clone(), Arc::new(agent)));
                let list: List = Arc::new(named.collect());
                self.known().list = Some((Instant::now(), Arc::clone(&list)));
                Ok(list)
            }
            Err(StoreError::Unavailable(why)) => {
                let mut known = self.known();
                known.failed = Some((Instant::now(), why.clone()));
                let stale = known.list.as_ref().map(|(_, list)| Arc::clone(list));
                stale.ok_or(StoreError::Unavailable(why))
            }
            Err(error) => Err(error),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
