//! Plugins that stay running.
//!
//! A run takes a slot in a plugin that has one free, or another plugin is started. A dead plugin is
//! forgotten. Each death without a successful run in between makes the next start wait longer.

use super::{
    config::ProcessConfig,
    handshake::{self, PluginStartError},
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

/// Delay of a start after failures.
const RESTART_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: false,
};

/// Maximum number of tasks that are remembered to need their own plugin.
const MAX_ISOLATED_TASKS: usize = 4_096;

/// The plugins of one agent.
#[derive(Default)]
pub(super) struct PluginPool {
    /// Tasks that were in a plugin when it died, where the culprit is not known. Each runs alone
    /// the next time. So the task that kills plugins is found, and cannot take others with it
    /// again.
    isolated: Mutex<VecDeque<TaskId>>,
    plugins: Mutex<Vec<Arc<Plugin>>>,
    /// Held during a start, so that many waiting runs do not start a plugin each.
    starting: tokio::sync::Mutex<()>,
    failures: AtomicU32,
}

/// A slot in a plugin.
pub(super) struct PluginLease {
    pub plugin: Arc<Plugin>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl PluginLease {
    /// A lease of a whole plugin.
    pub const fn exclusive(plugin: Arc<Plugin>) -> Self {
        Self { plugin, _slot: None }
    }
}

impl PluginPool {
    /// Takes a slot in a plugin that is ready, and starts a plugin if no slot is free.
    pub async fn lease(
        &self,
        agent: &AgentName,
        config: &ProcessConfig,
    ) -> Result<PluginLease, PluginStartError> {
        loop {
            if let Some(lease) = self.try_lease() {
                return Ok(lease);
            }
            let _starting = self.starting.lock().await;
            // Another run may have started a plugin meanwhile.
            if let Some(lease) = self.try_lease() {
                return Ok(lease);
            }
            if let Some(failures) = self.failures.load(Ordering::Acquire).checked_sub(1) {
                tokio::time::sleep(RESTART_BACKOFF.ceiling(failures)).await;
            }
            let plugin =
                handshake::start(agent, config).await.inspect_err(|_| self.count_failure())?;
            self.lock().push(plugin);
        }
    }

    /// Resets the backoff after a run that came to its end.
    pub fn reset_failures(&self) {
        self.failures.store(0, Ordering::Release);
    }

    /// Returns true when a task needs its own plugin.
    pub fn is_isolated(&self, task: TaskId) -> bool {
        self.isolated().contains(&task)
    }

    /// Sets whether a task gets its own plugin the next time.
    pub fn set_isolated(&self, task: TaskId, needed: bool) {
        let mut isolated = self.isolated();
        if let Some(at) = isolated.iter().position(|known| *known == task) {
            isolated.remove(at);
        }
        if needed {
            // Forgets the oldest. A task that was forgotten shares a plugin again, which is safe.
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
            plugin.wait_dead().await;
        }
    }

    fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
    }

    fn try_lease(&self) -> Option<PluginLease> {
        let mut plugins = self.lock();
        plugins.retain(|plugin| {
            let alive = plugin.is_alive();
            if !alive {
                self.count_failure();
            }
            alive
        });
        plugins.iter().find_map(|plugin| {
            // Under the lock, so that a plugin cannot be dropped from the list in between.
            let slot = plugin.slots.clone().try_acquire_owned().ok()?;
            Some(PluginLease { plugin: plugin.clone(), _slot: Some(slot) })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Plugin>>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
