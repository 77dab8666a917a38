//! The sections of the configuration, one struct each. Doc comments of fields are also shown to
//! users.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{
    agent::AgentSettings,
    schema::{SettingSection, SettingType, ValueKind, section},
    values::HumanDuration,
};
use crate::secret::Secret;

section! {
    /// The configuration of a process.
    Settings {
        /// Settings of the API server.
        server: ServerSettings = ServerSettings::default();
        /// Authentication of API callers.
        auth: AuthSettings = AuthSettings::default();
        /// Protocol versions served in addition to 1.0.
        a2a: A2aSettings = A2aSettings::default();
        /// Contents and signatures of agent cards.
        cards: AgentCardSettings = AgentCardSettings::default();
        /// The Postgres database.
        database: DatabaseSettings = DatabaseSettings::default();
        /// The RabbitMQ broker.
        amqp: AmqpSettings = AmqpSettings::default();
        /// Settings of workers.
        worker: WorkerSettings = WorkerSettings::default();
        /// The single-process mode.
        embedded: EmbeddedSettings = EmbeddedSettings::default();
        /// Settings of the log.
        log: LogSettings = LogSettings::default();
        /// Agents served by the built-in executors, each headed `[[agent]]`.
        agent: Vec<AgentSettings> = Vec::new();
    }
}

section! {
    /// `[server]`: the API server.
    ServerSettings {
        /// Address and port to listen on.
        listen: SocketAddr = loopback(8080);
        /// URL under which clients reach the API, without a trailing slash; agent cards show it.
        /// Absent: the address of each request.
        public_url: Option<String> = None;
        /// Addresses or networks (CIDR) of trusted proxies. Without `public_url`, cards show the
        /// address that they report in `Forwarded` or `X-Forwarded-Host`, `-Proto`, `-Port` and
        /// `-Prefix`.
        trusted_proxies: Vec<String> = Vec::new();
        /// Further host names of the API, such as "agents.internal", with a port if only that one
        /// is valid. While `auth.mode` is "none", requests for other names are rejected, except
        /// localhost, IP addresses and the host of `public_url`.
        allowed_hosts: Vec<String> = Vec::new();
        /// Origins whose web pages may use the API, such as `https://app.example.com`; "*" for all.
        /// Cards and key sets are open to every page.
        cors_origins: Vec<String> = Vec::new();
        /// Allow an address other than loopback while `auth.mode` is "none".
        allow_unauthenticated: bool = false;
        /// Agent of requests that name none. Absent: the only agent, if there is one.
        default_agent: Option<String> = None;
        /// Maximum size of a request body, in bytes.
        max_body_bytes: usize = 10 * 1024 * 1024;
        /// Maximum size of the contents of one response, in bytes. Older messages are left out;
        /// larger artifacts must be streamed.
        max_answer_bytes: usize = 64 * 1024 * 1024;
        /// Maximum number of messages that a client may send to one task after the first.
        max_task_messages: u32 = 10_000;
        /// Maximum size of these messages together, in bytes. Contents over 64 KiB are stored as
        /// blobs and do not count.
        max_task_bytes: usize = 64 * 1024 * 1024;
        /// Maximum number of open connections; further clients wait.
        max_connections: usize = 10_000;
        /// Maximum number of open requests on one HTTP/2 connection; further ones wait. All
        /// connections share `max_connections` requests beyond the first 100 of each.
        max_requests_per_connection: u32 = 4_096;
        /// Maximum time that a blocking send waits before it returns the task in its current state.
        /// Absent: no limit.
        longest_wait: Option<HumanDuration> = None;
        /// Attach a repeated message (same id and content, within 24 hours) to its task. Otherwise
        /// it is a new message, unless it carries an idempotency key.
        attach_repeats: bool = true;
        /// Time for an executor to end after a cancel before the task is canceled without it.
        cancel_grace: HumanDuration = HumanDuration::seconds(5);
        /// Maximum number of queued tasks of an agent that sets no limit; further ones are
        /// rejected.
        max_queued: u32 = 1_000_000;
        /// Maximum number of queued tasks per owner of an agent that sets no limit.
        max_queued_per_owner: u32 = 250_000;
        /// Maximum expected wait of a blocking client for the start of its task, while more than
        /// 1,024 clients wait on this node and tasks start quickly; further ones are rejected.
        max_queue_delay: HumanDuration = HumanDuration::seconds(1);
        /// Offer streams. Turn it off where the network blocks them: cards then say so, and
        /// streaming requests are rejected.
        streaming: bool = true;
        /// Interval of the comments that keep an idle stream open.
        keep_alive: HumanDuration = HumanDuration::seconds(15);
        /// Time for open requests to end after the first signal.
        drain: HumanDuration = HumanDuration::seconds(30);
        /// Infer the protocol version of a request that declares none from names that exist in one
        /// version only.
        assume_version: bool = true;
    }
}

section! {
    /// `[auth]`: authentication of API callers.
    AuthSettings {
        /// "keys" requires an API key of every caller, "none" admits everyone. Absent: "keys" for
        /// `longhaul api`, "none" for `longhaul dev`.
        mode: Option<AuthMode> = None;
    }
}

section! {
    /// `[a2a]`: protocol versions served in addition to 1.0.
    A2aSettings {
        /// Serve A2A 0.3 and show it on cards. Off: cards are pure 1.0 cards.
        serve_0_3: bool = true;
        /// Serve the methods of A2A 0.1.
        serve_0_1: bool = true;
    }
}

section! {
    /// `[cards]`: contents and signatures of agent cards.
    AgentCardSettings {
        /// Name of the provider, for every card; requires `provider_url`.
        provider: Option<String> = None;
        /// URL of the provider's website; requires `provider`.
        provider_url: Option<String> = None;
        /// URL of a page about the use of the agents.
        documentation_url: Option<String> = None;
        /// URL of an icon for the agents.
        icon_url: Option<String> = None;
        /// Form of the gRPC address on cards: "url" is `http://host:port`, for clients that reject
        /// cards with addresses outside their own origin; "host-port" is the form that the gRPC
        /// libraries of Python, JavaScript and Go dial and that later texts of the specification
        /// use; "off" leaves gRPC out.
        grpc: GrpcAddressFormat = GrpcAddressFormat::Url;
        /// Audience of extended cards: "authenticated" callers, for agents with extended skills;
        /// "always" for every caller and every agent; or "off".
        extended: ExtendedCardMode = ExtendedCardMode::Authenticated;
        /// Files of private keys (PKCS#8 PEM, P-256 or Ed25519; `longhaul card key new` makes one).
        /// The first one signs agent cards, all are published. Paths set in the file are relative
        /// to its folder. Empty: cards are not signed.
        signing_keys: Vec<String> = Vec::new();
        /// Files of further keys to publish (PEM, public or private), such as one that has signed
        /// before.
        published_keys: Vec<String> = Vec::new();
        /// URL of the key set in signatures. Absent: `/.well-known/jwks.json` below the address of
        /// the card.
        jku: Option<String> = None;
    }
}

section! {
    /// `[database]`: the Postgres database.
    DatabaseSettings {
        /// URL of the database, `postgres://user:password@host:port/name`; a secret. Required by
        /// all commands except `dev`.
        url: Option<Secret> = None;
        /// Maximum number of connections of this process.
        max_connections: u32 = 20;
        /// Time to wait at start for a database that does not respond.
        start_timeout: HumanDuration = HumanDuration::seconds(60);
    }
}

section! {
    /// `[amqp]`: the RabbitMQ broker.
    AmqpSettings {
        /// URL of the broker, `amqp://user:password@host:port/vhost`, or `amqps`, with
        /// `?cacertfile=PATH` for a private CA; a secret. Absent: no broker, work is announced
        /// through the database.
        url: Option<Secret> = None;
        /// Prefix of Longhaul's queue names.
        prefix: String = "longhaul".to_owned();
        /// Time to wait at start for a broker that is `required` and does not respond.
        start_timeout: HumanDuration = HumanDuration::seconds(15);
        /// Exit when the broker does not respond within `start_timeout`. Otherwise the process
        /// starts at once and connects in the background.
        required: bool = false;
    }
}

section! {
    /// `[worker]`: workers.
    WorkerSettings {
        /// Maximum number of tasks that run at once in this process.
        concurrency: u32 = 16;
        /// Interval at which an idle worker polls for work, in case a wake-up was lost.
        probe_interval: HumanDuration = HumanDuration::seconds(2);
        /// Time that a silent worker keeps its tasks before others may run them.
        lease: HumanDuration = HumanDuration::seconds(15);
        /// Number of workers lost in a row while running a task, after which the task fails instead
        /// of taking the next one down.
        max_losses: u32 = 5;
        /// Time for running tasks to end after the first signal before they are released to other
        /// workers.
        drain: HumanDuration = HumanDuration::seconds(30);
        /// The configured agents to run. Absent: all.
        agents: Option<Vec<String>> = None;
        /// Address and port for the worker's own `/healthz` and `/readyz`. Absent: none.
        listen: Option<SocketAddr> = None;
    }
}

section! {
    /// `[embedded]`: the single-process mode, `longhaul dev`.
    EmbeddedSettings {
        /// Folder of the data, relative to the working directory.
        data: PathBuf = PathBuf::from("./longhaul-data");
    }
}

section! {
    /// `[log]`: the log on standard error.
    LogSettings {
        /// "pretty" for people, "json" for one JSON object per line, "auto" for pretty on a
        /// terminal and JSON elsewhere.
        format: LogFormat = LogFormat::Auto;
        /// A level (error, warn, info, debug, trace), or levels by module such as
        /// "info,longhaul=debug".
        filter: String = "info".to_owned();
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The authentication mode of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// No authentication; every caller acts as the same owner.
    None,
    /// API keys.
    Keys,
}

impl SettingType for AuthMode {
    const KIND: ValueKind = ValueKind::OneOf(&["none", "keys"]);
}

/// The form of the gRPC address on cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpcAddressFormat {
    /// `http://host:port`.
    #[default]
    Url,
    /// `host:port`.
    HostPort,
    /// No gRPC address.
    Off,
}

impl SettingType for GrpcAddressFormat {
    const KIND: ValueKind = ValueKind::OneOf(&["url", "host-port", "off"]);
}

/// The audience of extended cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtendedCardMode {
    /// Authenticated callers, for agents with extended skills.
    #[default]
    Authenticated,
    /// Every caller, for every agent.
    Always,
    /// No extended cards.
    Off,
}

impl SettingType for ExtendedCardMode {
    const KIND: ValueKind = ValueKind::OneOf(&["authenticated", "always", "off"]);
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Text for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl SettingType for LogFormat {
    const KIND: ValueKind = ValueKind::OneOf(&["auto", "pretty", "json"]);
}

/// The kind of the key at a dotted path, with or without list positions. A path into a map or list
/// yields the map or list.
pub(super) fn kind_of(path: &str) -> Option<ValueKind> {
    let mut kind = ValueKind::Table(Settings::FIELDS);
    for segment in path.split('.') {
        let name = segment.split('[').next().unwrap_or(segment);
        kind = match kind {
            ValueKind::Table(fields) | ValueKind::Tables(fields) => {
                fields.iter().find(|field| field.name == name)?.kind
            }
            leaf => return Some(leaf),
        };
    }
    Some(kind)
}
