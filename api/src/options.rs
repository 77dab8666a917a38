//! Options of an API node.

use ipnet::IpNet;
use longhaul_domain::AgentName;
use longhaul_signing::CardSigner;
use longhaul_store::TaskBudget;
use longhaul_wire::{Negotiation, card::DeploymentInfo, card::GrpcAddress};
use std::{sync::Arc, time::Duration};

/// Authentication scheme of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// None: everything belongs to one owner.
    None,
    /// An API key, as `Authorization: Bearer` or `X-API-Key`.
    Keys,
}

/// Availability of extended cards (A2A 3.1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedCards {
    /// To authenticated callers, for agents whose extended card says more than the public one.
    Authenticated,
    /// To every caller, for every agent.
    Always,
    /// To no caller.
    Off,
}

/// Options of an API node.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// URL under which clients reach this deployment, without a trailing slash. Without it, cards
    /// name the address of the request.
    pub public_url: Option<String>,
    /// URL of the address that this node listens on, for cards when the request names no host.
    pub listen_url: String,
    /// Networks of proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Further names of this server, with or without a port.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may read responses; `*` for all.
    pub cors_origins: Vec<String>,
    /// Agent at the root address; without it, the only registered one.
    pub default_agent: Option<AgentName>,
    /// Signs cards and publishes its keys; without it, cards are not signed.
    pub card_signer: Option<Arc<CardSigner>>,
    /// Authentication scheme of callers.
    pub authentication: Authentication,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Largest content of one response, in bytes.
    pub max_answer_bytes: u64,
    /// Most open connections; further clients wait until one is closed.
    pub max_connections: usize,
    /// Most open requests on one HTTP/2 connection.
    pub max_requests_per_connection: u32,
    /// Bounds of the messages to one task after its first; beyond them a client begins a new task.
    pub task_budget: TaskBudget,
    /// Most queued tasks of an agent that sets no limit; further ones are rejected.
    pub max_queued: u32,
    /// Most queued tasks of one owner, for an agent that sets no limit.
    pub max_queued_per_owner: u32,
    /// Longest expected wait of a client for its task to begin, by the rate at which its owner's
    /// tasks at the agent begin. Further clients are rejected.
    pub max_queue_delay: Duration,
    /// Time after which a waiting send answers with the task as it is; without it, never.
    pub longest_wait: Option<Duration>,
    /// True when a repeated message attaches to its task; otherwise it is a new message (A2A
    /// 3.3.1).
    pub attach_repeats: bool,
    /// Time that an executor has to stop when its task is canceled, and that the cancel waits for
    /// it.
    pub cancel_grace: Duration,
    /// True when streams are offered. Otherwise cards say so and streaming operations are refused
    /// (A2A 3.3.4).
    pub streaming: bool,
    /// Interval of keep-alives on a silent stream.
    pub keep_alive: Duration,
    /// Time that requests have to finish when the node drains.
    pub drain: Duration,
    /// Protocol versions served, and negotiation among them (A2A 3.6).
    pub versions: Negotiation,
    /// Form of the gRPC address on cards.
    pub grpc_address: GrpcAddress,
    /// Availability of extended cards.
    pub extended_cards: ExtendedCards,
    /// Provider of this deployment and its documentation, for every card.
    pub about: DeploymentInfo,
}
