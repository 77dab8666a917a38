//! How an API node is run.

use ipnet::IpNet;
use longhaul_domain::AgentName;
use longhaul_signing::CardSigner;
use longhaul_store::TaskBudget;
use longhaul_wire::{Negotiation, card::DeploymentInfo, interfaces::GrpcAddress};
use std::{sync::Arc, time::Duration};

/// How callers show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They need not: everything belongs to one owner.
    None,
    /// By an API key, as `Authorization: Bearer` or `X-API-Key`.
    Keys,
}

/// For whom there are extended cards (A2A 3.1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedCards {
    /// For callers who showed who they are, of agents whose extended card says more than the public one.
    Authenticated,
    /// For every caller, of every agent.
    Always,
    /// For nobody.
    Off,
}

/// How an API node is run.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// The URL under which clients reach this deployment, without a trailing slash, for cards. Without it they name the address of the request.
    pub public_url: Option<String>,
    /// The URL of the address that this node listens on, for cards when the request has no host.
    pub listen_url: String,
    /// Proxies that are believed when they say which request they pass on.
    pub trusted_proxies: Vec<IpNet>,
    /// Further names of this server, with or without a port.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may read answers; `*` for all.
    pub cors_origins: Vec<String>,
    /// The agent at the root; without it, the only one that is registered.
    pub default_agent: Option<AgentName>,
    /// Signs cards and publishes its keys; without it, cards are not signed.
    pub card_signer: Option<Arc<CardSigner>>,
    /// How callers show who they are.
    pub authentication: Authentication,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Most bytes of contents in one answer.
    pub max_answer_bytes: u64,
    /// Most connections that are open at once; further ones wait until there is room.
    pub max_connections: usize,
    /// Most requests that are open at once on one HTTP/2 connection.
    pub max_requests_per_connection: u32,
    /// Bounds of the messages to one task after its first; beyond them a client begins a new task.
    pub task_budget: TaskBudget,
    /// How many tasks of an agent may wait, where the agent does not say; more are turned away.
    pub max_queued: u32,
    /// How many tasks of an agent may wait for one owner, where the agent does not say.
    pub max_queued_per_owner: u32,
    /// How long a client that waits may have to wait for its task to begin, by how many of its owner's tasks at the agent
    /// begin a second; further ones are turned away.
    pub max_queue_delay: Duration,
    /// After this long a waiting send answers with the task as it is; without it, never.
    pub longest_wait: Option<Duration>,
    /// Whether a message that was sent before goes on with its task, or is a new one (A2A 3.3.1).
    pub attach_repeats: bool,
    /// How long an executor has to stop when its task is canceled, and how long the cancel waits for it.
    pub cancel_grace: Duration,
    /// Whether there are streams; without, cards say so, and what streams is not supported (A2A 3.3.4).
    pub streaming: bool,
    /// How often a silent stream shows that it lives.
    pub keep_alive: Duration,
    /// How long requests may go on when the node drains.
    pub drain: Duration,
    /// Which versions of the protocol are served, and how that of a request is found out (A2A 3.6).
    pub versions: Negotiation,
    /// How cards give the address of gRPC.
    pub grpc_address: GrpcAddress,
    /// For whom there are extended cards.
    pub extended_cards: ExtendedCards,
    /// Who runs this deployment, and where to read about it: on every card.
    pub about: DeploymentInfo,
}
