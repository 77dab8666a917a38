//! How an API node is run.

use longhaul_domain::AgentName;
use std::time::Duration;

/// How callers show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They need not: everything belongs to one owner.
    None,
    /// By an API key, as `Authorization: Bearer` or `X-API-Key`.
    Keys,
}

/// How an API node is run.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Where clients reach this deployment, without a trailing slash: what cards say.
    pub public_url: String,
    /// The agent at the root; without it, the only one that is registered.
    pub default_agent: Option<AgentName>,
    /// How callers show who they are.
    pub authentication: Authentication,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Most bytes of contents in one answer.
    pub max_answer_bytes: u64,
    /// Most connections that are open at once; further ones wait until there is room.
    pub max_connections: usize,
    /// How many tasks of an agent may wait, where the agent does not say; more are turned away.
    pub max_queued: u32,
    /// How many tasks of an agent may wait for one owner, where the agent does not say.
    pub max_queued_per_owner: u32,
    /// How long a client that waits may have to wait for its task to begin, by how many of its owner's tasks at the agent
    /// begin a second; further ones are turned away.
    pub max_queue_delay: Duration,
    /// After this long a waiting send answers with the task as it is; without it, never.
    pub longest_wait: Option<Duration>,
    /// How long an executor has to stop when its task is canceled, and how long the cancel waits for it.
    pub cancel_grace: Duration,
    /// How often a silent stream shows that it lives.
    pub keep_alive: Duration,
    /// How long requests may go on when the node drains.
    pub drain: Duration,
    /// Whether a name that exists in one protocol version only decides the version (against A2A 3.6.2).
    pub assume_version: bool,
}
