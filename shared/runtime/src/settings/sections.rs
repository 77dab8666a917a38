//! The sections of the configuration, one struct each. The doc comment of a field is its documentation for users too.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{
    a2a::{A2aSettings, ExtendedCards, GrpcAddress},
    agent::AgentSettings,
    kind::{Holds, Kind},
    period::HumanDuration,
    schema::section,
};
use crate::secret::Secret;

section! {
    /// The whole configuration.
    Settings {
        /// How the API is served.
        server: ServerSettings = ServerSettings::default();
        /// Who may call the API.
        auth: AuthSettings = AuthSettings::default();
        /// Which versions of the protocol are served beside 1.0.
        a2a: A2aSettings = A2aSettings::default();
        /// What agent cards say, and their signatures.
        cards: AgentCardSettings = AgentCardSettings::default();
        /// The Postgres database.
        database: DatabaseSettings = DatabaseSettings::default();
        /// The RabbitMQ broker.
        amqp: AmqpSettings = AmqpSettings::default();
        /// How a worker runs tasks.
        worker: WorkerSettings = WorkerSettings::default();
        /// The single-process mode.
        embedded: EmbeddedSettings = EmbeddedSettings::default();
        /// What is logged, and how.
        log: LogSettings = LogSettings::default();
        /// The agents that this deployment's built-in executors serve, each headed `[[agent]]`.
        agent: Vec<AgentSettings> = Vec::new();
    }
}

section! {
    /// `[server]`: how the API is served.
    ServerSettings {
        /// Address and port to listen on.
        listen: SocketAddr = loopback(8080);
        /// URL under which clients reach the API, without a trailing slash; agent cards name it. Absent: what the request
        /// was addressed to.
        public_url: Option<String> = None;
        /// Addresses or networks (CIDR) of proxies that are believed when they say, in `Forwarded` or `X-Forwarded-Host`, `-Proto`, `-Port` and
        /// `-Prefix`, what they were asked: without `public_url` cards name that.
        trusted_proxies: Vec<String> = Vec::new();
        /// Further names under which clients reach the API, such as "agents.internal", with a port where only that one counts. While
        /// `auth.mode` is "none", requests for other names are refused, but for localhost, addresses and the host of `public_url`.
        allowed_hosts: Vec<String> = Vec::new();
        /// Origins whose web pages may use the API, such as `https://app.example.com`; "*" for all. Cards and key sets are open to
        /// every page.
        cors_origins: Vec<String> = Vec::new();
        /// Allow an address beyond loopback while `auth.mode` is "none".
        allow_unauthenticated: bool = false;
        /// The agent that answers where a request names none. Absent: the only one there is.
        default_agent: Option<String> = None;
        /// Largest request body, bytes.
        max_body_bytes: usize = 10 * 1024 * 1024;
        /// Most bytes of contents in one answer: older messages are left out, and larger artifacts have to be streamed.
        max_answer_bytes: usize = 64 * 1024 * 1024;
        /// Most messages that a client may send to one task after its first one; beyond that it begins a new one.
        max_task_messages: u32 = 10_000;
        /// Most bytes of those messages together, without contents over 64 KiB, which are kept apart.
        max_task_bytes: usize = 64 * 1024 * 1024;
        /// Most connections that are open at once; further clients wait.
        max_connections: usize = 10_000;
        /// Most requests that are open at once on one HTTP/2 connection; further ones of it wait. Of what connections have beyond 100, all
        /// together may have `max_connections`.
        max_requests_per_connection: u32 = 4_096;
        /// Longest time a waiting send stays open before it answers with the task as it is. Absent: no limit.
        longest_wait: Option<HumanDuration> = None;
        /// Whether a message that was sent before (the same id and content, within 24 hours) goes on with its task; otherwise it
        /// is a new one, unless it carries an idempotency key.
        attach_repeats: bool = true;
        /// How long an executor may take to end by itself after a cancel before the task is canceled without it.
        cancel_grace: HumanDuration = HumanDuration::seconds(5);
        /// Most tasks of one agent that may wait in the queue where the agent does not say; further ones are turned away.
        max_queued: u32 = 1_000_000;
        /// The same for the tasks of one owner.
        max_queued_per_owner: u32 = 250_000;
        /// How long a client that waits may have to wait for its task to begin when more than 1,024 wait on this node and
        /// tasks begin quickly; further ones are turned away.
        max_queue_delay: HumanDuration = HumanDuration::seconds(1);
        /// Whether to offer streams. Where the network between does not let them through: cards say so then, and what streams is
        /// refused.
        streaming: bool = true;
        /// Time between comments that keep an idle stream open.
        keep_alive: HumanDuration = HumanDuration::seconds(15);
        /// How long open requests may take to end after the first signal.
        drain: HumanDuration = HumanDuration::seconds(30);
        /// Recognise the protocol version of a request that declares none by names that exist in one version only.
        assume_version: bool = true;
    }
}

section! {
    /// `[auth]`: who may call the API.
    AuthSettings {
        /// "keys" asks every caller for an API key, "none" lets everybody in. Absent: "keys" for `longhaul api`, "none" for
        /// `longhaul dev`.
        mode: Option<AuthMode> = None;
    }
}

section! {
    /// `[cards]`: what agent cards say, and their signatures.
    AgentCardSettings {
        /// Who runs the deployment, for every card; together with `provider_url`.
        provider: Option<String> = None;
        /// URL of the provider's site.
        provider_url: Option<String> = None;
        /// URL of a page for people who want to use the agents.
        documentation_url: Option<String> = None;
        /// URL of a picture for the agents.
        icon_url: Option<String> = None;
        /// How cards give the address of gRPC: "url" as `http://host:port`, which clients need that refuse a card with an address off
        /// its own origin; "host-port" as the gRPC libraries of Python, JavaScript and Go dial it, and later texts of the
        /// specification have it; "off" to leave gRPC out.
        grpc: GrpcAddress = GrpcAddress::Url;
        /// For whom there are extended cards: "authenticated" callers, of agents that have skills for them alone; "always" for
        /// every caller, of every agent; or "off".
        extended: ExtendedCards = ExtendedCards::Authenticated;
        /// Files of private keys (PKCS#8 PEM, P-256 or Ed25519; `longhaul card key new` makes one). The first one signs agent
        /// cards, all are published. A path in a file is relative to its folder. Empty: cards are not signed.
        signing_keys: Vec<String> = Vec::new();
        /// Files of further keys (PEM, public or private) that are published, such as one that has signed before.
        published_keys: Vec<String> = Vec::new();
        /// URL of the key set that signatures name. Absent: `/.well-known/jwks.json` below the address of the card.
        jku: Option<String> = None;
    }
}

section! {
    /// `[database]`: the Postgres database that holds everything.
    DatabaseSettings {
        /// URL of the database, `postgres://user:password@host:port/name`; a secret. Needed by all commands but `dev`.
        url: Option<Secret> = None;
        /// Most connections that this process opens.
        max_connections: u32 = 20;
        /// How long to wait at start for a database that does not answer.
        start_timeout: HumanDuration = HumanDuration::seconds(60);
    }
}

section! {
    /// `[amqp]`: the RabbitMQ broker that wakes workers.
    AmqpSettings {
        /// URL of the broker, `amqp://user:password@host:port/vhost`, or `amqps`, there with `?cacertfile=PATH` where the CA is a private one; a secret. Absent: no broker, work is announced through the database.
        url: Option<Secret> = None;
        /// What the names of our queues begin with.
        prefix: String = "longhaul".to_owned();
        /// How long to wait at start for a broker that does not answer, where it is `required`.
        start_timeout: HumanDuration = HumanDuration::seconds(15);
        /// Whether a process ends when the broker does not answer within `start_timeout`; otherwise it starts at once and
        /// connects in the background.
        required: bool = false;
    }
}

section! {
    /// `[worker]`: how a worker runs tasks.
    WorkerSettings {
        /// Most tasks that run at once in this process.
        concurrency: u32 = 16;
        /// How often an idle worker looks for work that nobody told it about.
        probe_interval: HumanDuration = HumanDuration::seconds(2);
        /// How long a silent worker keeps its tasks before others may run them.
        lease: HumanDuration = HumanDuration::seconds(15);
        /// A task that was running when so many workers in a row were lost fails instead of taking the next one down.
        max_losses: u32 = 5;
        /// How long running tasks may take to end after the first signal before they are handed to others.
        drain: HumanDuration = HumanDuration::seconds(30);
        /// Run only these of the configured agents. Absent: all.
        agents: Option<Vec<String>> = None;
        /// Address and port for the worker's own `/healthz` and `/readyz`. Absent: none.
        listen: Option<SocketAddr> = None;
    }
}

section! {
    /// `[embedded]`: the single-process mode, `longhaul dev`.
    EmbeddedSettings {
        /// Folder that holds the data, relative to where the command runs.
        data: PathBuf = PathBuf::from("./longhaul-data");
    }
}

section! {
    /// `[log]`: what is logged to standard error, and how.
    LogSettings {
        /// "pretty" for people, "json" for one JSON object a line, "auto" for pretty on a terminal and JSON elsewhere.
        format: LogFormat = LogFormat::Auto;
        /// A level (error, warn, info, debug, trace), or levels by module such as "info,longhaul=debug".
        filter: String = "info".to_owned();
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Who may call the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Everybody, as one owner.
    None,
    /// Whoever shows an API key.
    Keys,
}

impl Holds for AuthMode {
    const KIND: Kind = Kind::OneOf(&["none", "keys"]);
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Holds for LogFormat {
    const KIND: Kind = Kind::OneOf(&["auto", "pretty", "json"]);
}
