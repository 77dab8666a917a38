//! The trait that a plugin implements.

use crate::{ExecutorError, Outcome, TaskContext};
use async_trait::async_trait;
use longhaul_domain::{AgentDescriptor, AgentLimits, AgentName, IdError, Skill};
use std::time::Duration;

/// Does the work of one agent.
///
/// A worker calls [`execute`](Self::execute) concurrently, once for every turn of a task and again
/// after a lost or failed attempt. That makes at least one call, so external effects should be
/// idempotent, keyed by task id and turn. A panic counts as a failed attempt.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Describes the agent and how to run it. Called once, when the worker starts.
    fn descriptor(&self) -> ExecutorDescriptor;

    /// Works on a task until it ends or has to wait for a person. Must return soon after
    /// [`TaskContext::cancelled`] resolves; the worker abandons the call after a grace period.
    ///
    /// # Errors
    /// The attempt failed, or was stopped. See [`ExecutorError`].
    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError>;

    /// Prepares the executor. Called before the first run, and again after this call failed or a
    /// run ended with [`OutputStopped::Unavailable`](crate::OutputStopped::Unavailable). Until it
    /// succeeds, tasks of the agent wait, other agents of the worker run, and the call is repeated
    /// with a growing delay.
    ///
    /// # Errors
    /// The executor cannot work on this worker now.
    async fn start(&self) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// Releases resources. Called once when the worker shuts down, after the last run.
    async fn stop(&self) {}
}

/// The description of an executor: its agent, and how to run it.
///
/// ```
/// use longhaul_executor::prelude::*;
///
/// let mut descriptor = ExecutorDescriptor::text("summaries", "1.2.0", "Summarizes texts")?;
/// descriptor.agent.input_modes = vec!["text/*".to_owned(), "application/pdf".to_owned()];
/// descriptor.concurrency = Some(4);
/// descriptor.policy.timeout = std::time::Duration::from_secs(600);
/// assert_eq!(descriptor.agent.skills[0].id, "summaries");
/// # Ok::<(), longhaul_executor::domain::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutorDescriptor {
    /// The agent as it is registered and shown on its card.
    pub agent: AgentDescriptor,
    /// Maximum concurrent runs in one worker process. `None`: as many as the worker has slots.
    pub concurrency: Option<u32>,
    /// Time limits and retries.
    pub policy: RunPolicy,
    /// Restricts tasks that this version has begun to workers of the same version.
    pub pinned: bool,
}

impl ExecutorDescriptor {
    /// A descriptor with defaults for everything but the agent.
    pub fn new(agent: AgentDescriptor) -> Self {
        Self { agent, concurrency: None, policy: RunPolicy::default(), pinned: false }
    }

    /// An agent that reads and writes plain text and has one skill of the same name.
    ///
    /// # Errors
    /// The name is not a valid agent name.
    pub fn text(name: &str, version: &str, description: &str) -> Result<Self, IdError> {
        let skill = Skill {
            id: name.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            tags: Vec::new(),
            examples: Vec::new(),
            input_modes: Vec::new(),
            output_modes: Vec::new(),
            extended: false,
        };
        Ok(Self::new(AgentDescriptor {
            name: AgentName::new(name)?,
            version: version.to_owned(),
            description: description.to_owned(),
            skills: vec![skill],
            input_modes: vec!["text/plain".to_owned()],
            output_modes: vec!["text/plain".to_owned()],
            direct: false,
            extensions: Vec::new(),
            limits: AgentLimits::default(),
        }))
    }
}

/// Time limits and retries of runs whose message does not choose its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunPolicy {
    /// Maximum duration of one attempt, from start to end.
    pub timeout: Duration,
    /// Maximum time of an attempt without progress: output, a checkpoint or a
    /// [heartbeat](TaskContext::heartbeat).
    pub no_progress: Option<Duration>,
    /// Number of attempts after which a retryable failure is final; at least 1.
    pub max_attempts: u32,
    /// Delay between attempts.
    pub backoff: RetryBackoff,
}

impl Default for RunPolicy {
    /// One hour; three attempts.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3600),
            no_progress: None,
            max_attempts: 3,
            backoff: RetryBackoff::default(),
        }
    }
}

/// The delay between attempts: exponential, with the worker's jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBackoff {
    /// Delay after the first failure.
    pub initial: Duration,
    /// Factor by which each further failure multiplies the delay.
    pub factor: f64,
    /// Maximum delay.
    pub max: Duration,
}

impl Default for RetryBackoff {
    /// One second, doubling up to one minute.
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(60) }
    }
}
