//! Plugins that stay running. A run takes a place in one that has room, or has another one started; a plugin that died is forgotten,
//! and each death without a run that worked in between makes the next start wait longer.

use super::{
    config::ProcessConfig,
    handshake::{self, StartError},
    plugin::Plugin,
};
use longhaul_domain::{AgentName, TaskId};
use longhaul_runtime::Backoff;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::OwnedSemaphorePermit;

const RESTART: Backoff = Backoff {
    initial: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: false,
};

/// Most tasks that are remembered to need a plugin of their own.
const MAX_ISOLATED_TASKS: usize = 4_096;

/// The plugins of one agent.
#[derive(Default)]
pub(super) struct Pool {
    /// Tasks that were in a plugin when it died, and nobody knows which of them it was. Each runs alone the next time: so
    /// the one that kills plugins is found out, and cannot take others with it again.
    isolated: Mutex<VecDeque<TaskId>>,
    plugins: Mutex<Vec<Arc<Plugin>>>,
    /// Held while one is started, so that a crowd of runs does not start one each.
    starting: tokio::sync::Mutex<()>,
    failures: AtomicU32,
}

/// A place in a plugin.
pub(super) struct Lease {
    pub plugin: Arc<Plugin>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// All of a plugin.
    pub const fn of(plugin: Arc<Plugin>) -> Self {
        Self { plugin, _place: None }
    }
}

impl Pool {
    /// A place in a plugin that is ready.
    pub async fn lease(
        &self,
        agent: &AgentName,
        config: &ProcessConfig,
    ) -> Result<Lease, StartError> {
        loop {
            if let Some(lease) = self.free() {
                return Ok(lease);
            }
            let _turn = self.starting.lock().await;
            if let Some(lease) = self.free() {
                return Ok(lease);
            }
            if let Some(failures) = self.failures.load(Ordering::Acquire).checked_sub(1) {
                tokio::time::sleep(RESTART.ceiling(failures)).await;
            }
            let plugin = handshake::start(agent, config).await.inspect_err(|_| self.failed())?;
            self.lock().push(plugin);
        }
    }

    /// A run came to its end.
    pub fn worked(&self) {
        self.failures.store(0, Ordering::Release);
    }

    /// Whether a task needs a plugin of its own.
    pub fn is_isolated(&self, task: TaskId) -> bool {
        self.isolated().contains(&task)
    }

    /// Gives a task a plugin of its own the next time, or not any more.
    pub fn isolate(&self, task: TaskId, needed: bool) {
        let mut isolated = self.isolated();
        if let Some(at) = isolated.iter().position(|known| *known == task) {
            isolated.remove(at);
        }
        if needed {
            isolated.truncate(MAX_ISOLATED_TASKS - 1);
            isolated.push_front(task);
        }
    }

    fn isolated(&self) -> MutexGuard<'_, VecDeque<TaskId>> {
        self.isolated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all plugins and waits until they have ended.
    pub async fn close(&self) {
        let plugins = std::mem::take(&mut *self.lock());
        for plugin in &plugins {
            plugin.close();
        }
        for plugin in plugins {
            plugin.gone().await;
        }
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
    }

    fn free(&self) -> Option<Lease> {
        let mut plugins = self.lock();
        plugins.retain(|plugin| {
            let alive = plugin.is_alive();
            if !alive {
                self.failed();
            }
            alive
        });
        plugins.iter().find_map(|plugin| {
            let place = plugin.slots.clone().try_acquire_owned().ok()?;
            Some(Lease { plugin: plugin.clone(), _place: Some(place) })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Plugin>>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
