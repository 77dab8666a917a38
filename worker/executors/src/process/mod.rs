//! `process`: any program in any language does the work, by lines of JSON over its standard input and output.
//!
//! A plugin that dies, hangs or talks nonsense fails its run with an error that says what it did, and never more than that: nothing of
//! it outlives its run (or, kept running, the worker), its output is bounded by credit, and what it had sent stays in the record
//! for the next attempt to replace or continue. `docs/process-protocol.md` is the contract.

mod a2a;
mod child;
mod config;
mod frames;
mod guard;
mod handshake;
mod life;
mod lines;
mod plugin;
mod pool;
mod program;
mod rate;
mod requests;
mod routes;
mod session;
mod shared;
mod stderr;
mod steps;
mod streams;

pub use config::ProcessConfig;
pub use guard::{GUARD_COMMAND, PluginGuard, guard_main};
pub use handshake::StartError;
pub use program::ProgramError;

use async_trait::async_trait;
use longhaul_domain::TaskId;
use longhaul_executor::{
    Executor, ExecutorDescriptor, ExecutorError, Outcome, OutputStopped, TaskContext,
};
use pool::{Lease, Pool};
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs a program for the tasks of an agent.
pub struct ProcessExecutor {
    descriptor: ExecutorDescriptor,
    config: ProcessConfig,
    pool: Pool,
    runs: AtomicU64,
}

impl ProcessExecutor {
    /// The program of this agent. Nothing is started yet.
    pub fn new(descriptor: ExecutorDescriptor, config: ProcessConfig) -> Self {
        Self { descriptor, config, pool: Pool::default(), runs: AtomicU64::new(0) }
    }

    async fn lease(&self, task: Option<TaskId>) -> Result<Lease, StartError> {
        let agent = &self.descriptor.agent.name;
        let alone = task.is_some_and(|task| self.pool.is_isolated(task));
        if self.config.keep && !alone {
            self.pool.lease(agent, &self.config).await
        } else {
            Ok(Lease::of(handshake::start(agent, &self.config).await?))
        }
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    /// Starts the program once, so that one that cannot work is found before it is given tasks.
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
                // No fault of the task: it waits until the program can be started again.
                let agent = &self.descriptor.agent.name;
                tracing::warn!(%agent, task = %task, cause = %error, "plugin did not start");
                return Err(OutputStopped::Unavailable.into());
            }
        };
        let run = format!("r{}", self.runs.fetch_add(1, Ordering::Relaxed) + 1);
        let result = session::converse(&ctx, &lease.plugin, &run, self.config.kill_grace).await;
        if result.is_ok() {
            self.pool.worked();
        }
        let stopped = result.as_ref().err().and_then(ExecutorError::stopped);
        self.pool.isolate(task, stopped == Some(OutputStopped::Interrupted));
        result
    }

    async fn stop(&self) {
        self.pool.close().await;
    }
}
