//! Agent cards, built from the agent's registration and the deployment's addresses (A2A 8). A card
//! lists 1.0 before 0.3, and JSON-RPC first within each version, since every client has that
//! binding (A2A 4.4.6, 8.3.1).
//!
//! Clients append paths to these addresses. JSON-RPC is called at its URL; HTTP+JSON below it
//! (`/tasks`, and `/v1/tasks` in 0.3, whose clients add that prefix). gRPC has no path, so the
//! tenant names the agent there.

pub use crate::v1::card::{AgentCard, AgentCardSignature, AgentProvider};
use crate::{
    Dialect, Negotiation,
    v1::card::{
        APIKeySecurityScheme, AgentCapabilities, AgentExtension, AgentInterface, AgentSkill,
        HTTPAuthSecurityScheme, SecurityRequirement, SecurityScheme, StringList,
    },
};
use longhaul_domain::{
    AgentDescriptor, AgentName, Skill,
    extension::{DURABILITY_EXTENSION, Extension, RESUME_EXTENSION},
};
use std::collections::BTreeMap;

/// Header that carries an API key, beside `Authorization`.
pub const API_KEY_HEADER: &str = "X-API-Key";
const BEARER_SCHEME: &str = "bearer";
const API_KEY_SCHEME: &str = "apiKey";

/// Protocol binding of an interface (A2A 4.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolBinding {
    /// JSON-RPC over HTTP.
    JsonRpc,
    /// HTTP with JSON bodies.
    HttpJson,
    /// gRPC.
    Grpc,
}

impl ProtocolBinding {
    /// Name of the binding on a card.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }
}

/// One address of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardInterface {
    /// Absolute URL.
    pub url: String,
    /// Protocol binding.
    pub binding: ProtocolBinding,
    /// Protocol version, as a dialect.
    pub dialect: Dialect,
    /// Routing label, when the URL alone does not name the agent.
    pub tenant: Option<String>,
}

/// Deployment facts on a card that the agent's registration does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSettings {
    /// Addresses of the agent, the preferred one first; at least one.
    pub interfaces: Vec<CardInterface>,
    /// Set when the deployment requires an API key.
    pub secured: bool,
    /// Set when the agent has an extended card as well (A2A 3.1.11).
    pub extensible: bool,
    /// Set for the extended card itself, which shows every skill.
    pub extended: bool,
    /// Operator and documentation of the deployment.
    pub about: DeploymentInfo,
}

/// Operator and documentation of a deployment (A2A 4.4.1, 4.4.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentInfo {
    /// Organization that runs the deployment.
    pub provider: Option<AgentProvider>,
    /// URL of the documentation.
    pub documentation_url: Option<String>,
    /// URL of an icon.
    pub icon_url: Option<String>,
}

impl CardSettings {
    /// Settings of an agent that is reached by JSON-RPC 1.0 at `url`.
    pub fn json_rpc(url: impl Into<String>, secured: bool) -> Self {
        let interface = CardInterface {
            url: url.into(),
            binding: ProtocolBinding::JsonRpc,
            dialect: Dialect::V1_0,
            tenant: None,
        };
        Self {
            interfaces: vec![interface],
            secured,
            extensible: false,
            extended: false,
            about: DeploymentInfo::default(),
        }
    }
}

/// Builds the 1.0 card of an agent.
pub fn build(agent: &AgentDescriptor, settings: &CardSettings) -> AgentCard {
    let (security_schemes, security_requirements) =
        if settings.secured { api_keys() } else { (BTreeMap::new(), Vec::new()) };
    AgentCard {
        name: agent.name.to_string(),
        description: description_or_name(&agent.description, agent),
        supported_interfaces: settings.interfaces.iter().map(interface).collect(),
        provider: settings.about.provider.clone(),
        version: agent.version.clone(),
        documentation_url: settings.about.documentation_url.clone(),
        capabilities: AgentCapabilities {
            streaming: Some(true),
            push_notifications: Some(false),
            extensions: extensions(agent),
            extended_agent_card: Some(settings.extensible),
        },
        security_schemes,
        security_requirements,
        default_input_modes: modes_or_text(&agent.input_modes),
        default_output_modes: modes_or_text(&agent.output_modes),
        skills: skills(agent, settings.extended),
        signatures: Vec::new(),
        icon_url: settings.about.icon_url.clone(),
    }
}

fn interface(interface: &CardInterface) -> AgentInterface {
    AgentInterface {
        url: interface.url.clone(),
        protocol_binding: interface.binding.name().to_owned(),
        tenant: interface.tenant.clone(),
        protocol_version: interface.dialect.version().to_owned(),
    }
}

/// Extensions that every agent supports, then the agent's own.
fn extensions(agent: &AgentDescriptor) -> Vec<AgentExtension> {
    let own = agent.extensions.iter();
    // An agent may register Longhaul's extensions too; they must appear only once.
    let own = own.filter(|extension| {
        ![RESUME_EXTENSION, DURABILITY_EXTENSION].contains(&extension.uri.as_str())
    });
    [resume(), durability()].into_iter().chain(own.map(card_extension)).collect()
}

fn card_extension(extension: &Extension) -> AgentExtension {
    let description = &extension.description;
    AgentExtension {
        uri: extension.uri.clone(),
        description: (!description.is_empty()).then(|| description.clone()),
        required: extension.required,
        params: extension.params.clone(),
    }
}

fn resume() -> AgentExtension {
    AgentExtension {
        uri: RESUME_EXTENSION.to_owned(),
        description: Some(
            "Streams resume after the Last-Event-ID, without gaps and without repeats".to_owned(),
        ),
        required: false,
        params: None,
    }
}

fn durability() -> AgentExtension {
    AgentExtension {
        uri: DURABILITY_EXTENSION.to_owned(),
        description: Some(
            "How a task is to be run (priority, times, attempts), in message metadata; how it is run, in task metadata"
                .to_owned(),
        ),
        required: false,
        params: None,
    }
}

/// Security schemes for the two API key headers; either one suffices.
fn api_keys() -> (BTreeMap<String, SecurityScheme>, Vec<SecurityRequirement>) {
    let bearer = SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
        description: Some("An API key as bearer token".to_owned()),
        scheme: "Bearer".to_owned(),
        bearer_format: None,
    });
    let header = SecurityScheme::ApiKey(APIKeySecurityScheme {
        description: Some("An API key in a header of its own".to_owned()),
        location: "header".to_owned(),
        name: API_KEY_HEADER.to_owned(),
    });
    let single_scheme = |name: &str| SecurityRequirement {
        schemes: BTreeMap::from([(name.to_owned(), StringList::default())]),
    };
    let schemes =
        BTreeMap::from([(BEARER_SCHEME.to_owned(), bearer), (API_KEY_SCHEME.to_owned(), header)]);
    (schemes, vec![single_scheme(BEARER_SCHEME), single_scheme(API_KEY_SCHEME)])
}

/// Skills on the card. A card needs at least one, so an agent that shows none is listed as its own
/// skill.
fn skills(agent: &AgentDescriptor, extended: bool) -> Vec<AgentSkill> {
    let mut shown = agent.skills.iter().filter(|skill| extended || !skill.extended).peekable();
    if shown.peek().is_none() {
        let name = agent.name.to_string();
        return vec![AgentSkill {
            id: name.clone(),
            name: name.clone(),
            description: description_or_name(&agent.description, agent),
            tags: vec![name],
            examples: Vec::new(),
            input_modes: Vec::new(),
            output_modes: Vec::new(),
            security_requirements: Vec::new(),
        }];
    }
    shown.map(|skill| card_skill(skill, agent)).collect()
}

fn card_skill(skill: &Skill, agent: &AgentDescriptor) -> AgentSkill {
    // A skill requires at least one tag.
    let tags =
        if skill.tags.is_empty() { vec![agent.name.to_string()] } else { skill.tags.clone() };
    AgentSkill {
        id: skill.id.clone(),
        name: skill.name.clone(),
        description: skill.description.clone(),
        tags,
        examples: skill.examples.clone(),
        input_modes: skill.input_modes.clone(),
        output_modes: skill.output_modes.clone(),
        security_requirements: Vec::new(),
    }
}

fn description_or_name(description: &str, agent: &AgentDescriptor) -> String {
    if description.is_empty() { agent.name.to_string() } else { description.to_owned() }
}

/// Media types, or plain text: a card's required lists hold at least one element.
fn modes_or_text(modes: &[String]) -> Vec<String> {
    if modes.is_empty() { vec!["text/plain".to_owned()] } else { modes.to_vec() }
}

/// Form of the gRPC address on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcAddress {
    /// `host:port`, which most gRPC clients expect and drafts after 1.0.1 specify.
    HostPort,
    /// URL with the origin of the other addresses, as 1.0.0 and 1.0.1 specify.
    Url,
    /// No gRPC interface on the card.
    Off,
}

/// Lists the interfaces of the agent named `agent`, or of the root agent without a name.
pub fn agent_interfaces(
    public_url: &str,
    agent: Option<&AgentName>,
    served: Negotiation,
    grpc: GrpcAddress,
) -> Vec<CardInterface> {
    let mut dialects = vec![Dialect::V1_0];
    dialects.extend(served.v0_3.then_some(Dialect::V0_3));
    // Two versions with three bindings each.
    let mut all = Vec::with_capacity(6);
    for dialect in dialects {
        let at = |binding, url| CardInterface { url, binding, dialect, tenant: None };
        let (called, below) = match agent {
            Some(name) => {
                let url = format!("{public_url}/agents/{name}");
                (url.clone(), url)
            }
            // Clients append `/tasks` to the HTTP+JSON address, so that one must not end in a
            // slash.
            None => (format!("{public_url}/"), public_url.to_owned()),
        };
        all.push(at(ProtocolBinding::JsonRpc, called));
        all.push(at(ProtocolBinding::HttpJson, below));
        // Requests of 0.3 carry no tenant, so gRPC 0.3 reaches the root agent only.
        if agent.is_some() && dialect != Dialect::V1_0 {
            continue;
        }
        if let Some(url) = grpc_url(public_url, grpc) {
            let tenant = agent.map(ToString::to_string);
            all.push(CardInterface { tenant, ..at(ProtocolBinding::Grpc, url) });
        }
    }
    all
}

fn grpc_url(public_url: &str, grpc: GrpcAddress) -> Option<String> {
    let (scheme, rest) = public_url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    match grpc {
        GrpcAddress::Off => None,
        GrpcAddress::Url => Some(format!("{scheme}://{authority}")),
        GrpcAddress::HostPort if has_port(authority) => Some(authority.to_owned()),
        GrpcAddress::HostPort => {
            // The address carries no scheme, so the default port must be explicit.
            let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            Some(format!("{authority}:{port}"))
        }
    }
}

/// Detects a port. Colons of an IPv6 address stand inside brackets.
fn has_port(authority: &str) -> bool {
    authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        url: &str,
        agent: Option<&str>,
        served: Negotiation,
        grpc: GrpcAddress,
    ) -> Vec<String> {
        let agent = agent.map(|name| AgentName::new(name).unwrap());
        let all = agent_interfaces(url, agent.as_ref(), served, grpc);
        let of = |i: CardInterface| {
            let tenant = i.tenant.map(|tenant| format!(" of {tenant}")).unwrap_or_default();
            format!("{} {} {}{tenant}", i.binding.name(), i.dialect.version(), i.url)
        };
        all.into_iter().map(of).collect()
    }

    #[test]
    fn the_agent_at_the_root_is_reached_by_every_binding_of_both_versions() {
        let all = shown("https://a.example", None, Negotiation::default(), GrpcAddress::HostPort);
        assert_eq!(
            all,
            [
                "JSONRPC 1.0 https://a.example/",
                "HTTP+JSON 1.0 https://a.example",
                "GRPC 1.0 a.example:443",
                "JSONRPC 0.3 https://a.example/",
                "HTTP+JSON 0.3 https://a.example",
                "GRPC 0.3 a.example:443",
            ]
        );
    }

    #[test]
    fn an_agent_with_an_address_is_named_by_path_or_tenant() {
        let all = shown("http://[::1]:8", Some("b"), Negotiation::default(), GrpcAddress::Url);
        assert_eq!(
            all,
            [
                "JSONRPC 1.0 http://[::1]:8/agents/b",
                "HTTP+JSON 1.0 http://[::1]:8/agents/b",
                "GRPC 1.0 http://[::1]:8 of b",
                "JSONRPC 0.3 http://[::1]:8/agents/b",
                "HTTP+JSON 0.3 http://[::1]:8/agents/b",
            ]
        );
    }

    #[test]
    fn disabled_interfaces_are_not_listed() {
        let all = shown("http://a:1", None, Negotiation::ONLY_V1_0, GrpcAddress::Off);
        assert_eq!(all, ["JSONRPC 1.0 http://a:1/", "HTTP+JSON 1.0 http://a:1"]);
    }

    #[test]
    fn the_address_of_grpc_has_a_port_and_no_path() {
        let of = |url| grpc_url(url, GrpcAddress::HostPort).unwrap();
        assert_eq!(of("http://a"), "a:80");
        assert_eq!(of("https://a:8443/base"), "a:8443");
        assert_eq!(of("https://[::1]"), "[::1]:443");
        assert_eq!(of("http://[::1]:9"), "[::1]:9");
    }
}
