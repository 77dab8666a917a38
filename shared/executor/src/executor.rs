//! What a plugin implements.

use crate::{ExecutorError, Outcome, TaskContext};
use async_trait::async_trait;
use longhaul_domain::{AgentDescriptor, AgentLimits, AgentName, IdError, Skill};
use std::time::Duration;

/// Does the work of one agent.
///
/// A worker calls [`execute`](Self::execute) concurrently, once for every turn of a task and again after a lost or failed attempt:
/// at least once, so effects outside should be idempotent, keyed by task id and turn. A panic counts as a failed attempt.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Who this is, and how it wants to be run. Asked once, when the worker starts.
    fn descriptor(&self) -> ExecutorDescriptor;

    /// Works on a task until it ends or has to wait for somebody. When [`TaskContext::cancelled`] resolves it shall return
    /// soon; it is abandoned after a while if it does not.
    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError>;

    /// Called before the first run, and again after it failed or a run ended with
    /// [`OutputStopped::Unavailable`](crate::Stopped::Unavailable). Until it succeeds, tasks of the agent wait, other agents
    /// of the worker run, and the call is repeated with a growing pause.
    async fn start(&self) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// Called once when the worker shuts down, after the last run.
    async fn stop(&self) {}
}

/// Who an executor is, and how it wants to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutorDescriptor {
    /// What is registered, and shown on the agent's card.
    pub agent: AgentDescriptor,
    /// How many runs at a time one worker process may give it; none: as many as the worker has slots.
    pub concurrency: Option<u32>,
    /// Time limit and retries.
    pub policy: RunPolicy,
    /// Whether a task that this version has begun is to be run by this version only, on whatever worker.
    pub pinned: bool,
}

impl ExecutorDescriptor {
    /// With the defaults for everything but the agent.
    pub fn new(agent: AgentDescriptor) -> Self {
        Self { agent, concurrency: None, policy: RunPolicy::default(), pinned: false }
    }

    /// An agent that reads and writes plain text and has one skill, named like itself. Fails when the name is not a valid
    /// agent name.
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

/// How long a run may take and how often it is tried, where its message does not say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunPolicy {
    /// How long one attempt may take from start to end.
    pub timeout: Duration,
    /// How long an attempt may go on without a sign of progress: output, a checkpoint, or a word that it is getting on.
    pub no_progress: Option<Duration>,
    /// After this many attempts a retryable failure is final; at least 1.
    pub max_attempts: u32,
    /// How long to wait between attempts.
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

/// How long to wait between attempts: exponential, with the worker's jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBackoff {
    /// After the first failure.
    pub initial: Duration,
    /// How much longer after each further one.
    pub factor: f64,
    /// Never longer than this.
    pub max: Duration,
}

impl Default for RetryBackoff {
    /// From one second, doubling, to a minute.
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(60) }
    }
}
