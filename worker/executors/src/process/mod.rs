//! `process`: any program in any language does the work, with JSON lines over its standard input
//! and output.
//!
//! A plugin that dies, hangs or violates the protocol fails its run with an error that says what it
//! did. Nothing of it outlives its run (or the worker, if it stays running), and credit bounds its
//! output. Output from before a crash stays in the record, for the next attempt to replace or
//! continue. `docs/process-protocol.md` is the contract.

mod a2a;
mod child;
mod config;
mod frames;
mod guard;
mod handshake;
mod lines;
mod logging;
mod outcome;
mod plugin;
mod plugin_state;
mod pool;
mod program;
mod requests;
mod routes;
mod session;
mod streams;
mod supervisor;

pub use config::ProcessConfig;
pub use guard::{GUARD_COMMAND, PluginGuard, guard_main};
pub use handshake::PluginStartError;
pub use program::ProgramError;

use async_trait::async_trait;
use longhaul_domain::TaskId;
use longhaul_executor::{
    Executor, ExecutorDescriptor, ExecutorError, Outcome, OutputStopped, TaskContext,
};
use pool::{PluginLease, PluginPool};
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs a program for the tasks of an agent.
pub struct ProcessExecutor {
    descriptor: ExecutorDescriptor,
    config: ProcessConfig,
    pool: PluginPool,
    runs: AtomicU64,
}

impl ProcessExecutor {
    /// An executor that runs this program. Nothing is started yet.
    pub fn new(descriptor: ExecutorDescriptor, config: ProcessConfig) -> Self {
        Self { descriptor, config, pool: PluginPool::default(), runs: AtomicU64::new(0) }
    }

    async fn lease(&self, task: Option<TaskId>) -> Result<PluginLease, PluginStartError> {
        let agent = &self.descriptor.agent.name;
        let alone = task.is_some_and(|task| self.pool.is_isolated(task));
        if self.config.keep && !alone {
            self.pool.lease(agent, &self.config).await
        } else {
            Ok(PluginLease::exclusive(handshake::start(agent, &self.config).await?))
        }
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    /// Starts the program once, so that a program that cannot work is found before it gets tasks.
    async fn start(&self) -> Result<(), ExecutorError> {
        self.lease(None).await?;
        Ok(())
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let task = ctx.task_id();
        let lease = tokio::select! {
            lease = self.lease(Some(task)) => lease,
            () = ctx.cancelled() => return Err(ctx.stopped().await.into()),
        };
        let lease = match lease {
            Ok(lease) => lease,
            Err(error) => {
                // Not the task's fault: it waits until the program can be started again.
                let agent = &self.descriptor.agent.name;
                tracing::warn!(%agent, task = %task, cause = %error, "plugin failed to start");
                return Err(OutputStopped::Unavailable.into());
            }
        };
        let run = format!("r{}", self.runs.fetch_add(1, Ordering::Relaxed) + 1);
        let result = session::run_session(&ctx, &lease.plugin, &run, self.config.kill_grace).await;
        if result.is_ok() {
            self.pool.reset_failures();
        }
        let stopped = result.as_ref().err().and_then(ExecutorError::stopped);
        self.pool.set_isolated(task, stopped == Some(OutputStopped::Interrupted));
        result
    }

    async fn stop(&self) {
        self.pool.close().await;
    }
}
