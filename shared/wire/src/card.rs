//! The card of an agent, from what its executor registered and how the deployment is reached (A2A 8).

use crate::{
    Dialect,
    v1::card::{
        APIKeySecurityScheme, AgentCapabilities, AgentCard, AgentExtension, AgentInterface,
        AgentProvider, AgentSkill, HTTPAuthSecurityScheme, SecurityRequirement, SecurityScheme,
        StringList,
    },
};
use longhaul_domain::{
    AgentDescriptor, Skill,
    extension::{DURABILITY_EXTENSION, Extension, RESUME_EXTENSION},
};
use std::collections::BTreeMap;

/// Header that carries an API key beside `Authorization`.
pub const API_KEY_HEADER: &str = "X-API-Key";
const BEARER: &str = "bearer";
const API_KEY: &str = "apiKey";

/// How an interface is spoken (A2A 4.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// JSON-RPC over HTTP.
    JsonRpc,
    /// HTTP with JSON bodies.
    HttpJson,
    /// gRPC.
    Grpc,
}

impl Binding {
    /// Its name on a card.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }
}

/// One way to reach an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Absolute URL.
    pub url: String,
    /// How it is spoken.
    pub binding: Binding,
    /// In which version.
    pub dialect: Dialect,
    /// Routing label, when the URL alone does not name the agent.
    pub tenant: Option<String>,
}

/// What a card says that the agent does not know of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSettings {
    /// Ways to reach it, the preferred one first; at least one.
    pub interfaces: Vec<Interface>,
    /// Whether API keys are needed.
    pub secured: bool,
    /// Whether there is an extended card, too (A2A 3.1.11).
    pub extensible: bool,
    /// Whether this is the extended card: it shows every skill.
    pub extended: bool,
    /// Who runs it, and where to read about it.
    pub about: DeploymentInfo,
}

/// Who runs a deployment, and where to read about it (A2A 4.4.1, 4.4.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentInfo {
    /// Who runs it.
    pub provider: Option<AgentProvider>,
    /// URL of a page for people.
    pub documentation_url: Option<String>,
    /// URL of a picture.
    pub icon_url: Option<String>,
}

impl CardSettings {
    /// Reached by JSON-RPC 1.0 at a URL.
    pub fn json_rpc(url: impl Into<String>, secured: bool) -> Self {
        let interface = Interface {
            url: url.into(),
            binding: Binding::JsonRpc,
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

/// The 1.0 card of an agent.
pub fn build(agent: &AgentDescriptor, settings: &CardSettings) -> AgentCard {
    let (security_schemes, security_requirements) =
        if settings.secured { api_keys() } else { (BTreeMap::new(), Vec::new()) };
    AgentCard {
        name: agent.name.to_string(),
        description: or_name(&agent.description, agent),
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
        default_input_modes: or_text(&agent.input_modes),
        default_output_modes: or_text(&agent.output_modes),
        skills: skills(agent, settings.extended),
        signatures: Vec::new(),
        icon_url: settings.about.icon_url.clone(),
    }
}

fn interface(interface: &Interface) -> AgentInterface {
    AgentInterface {
        url: interface.url.clone(),
        protocol_binding: interface.binding.name().to_owned(),
        tenant: interface.tenant.clone(),
        protocol_version: interface.dialect.version().to_owned(),
    }
}

/// Those that every agent has, and its own.
fn extensions(agent: &AgentDescriptor) -> Vec<AgentExtension> {
    let own = agent.extensions.iter();
    let own = own.filter(|extension| {
        ![RESUME_EXTENSION, DURABILITY_EXTENSION].contains(&extension.uri.as_str())
    });
    [resume(), durability()].into_iter().chain(own.map(of_extension)).collect()
}

fn of_extension(extension: &Extension) -> AgentExtension {
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

/// Either header is enough.
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
    let alone = |name: &str| SecurityRequirement {
        schemes: BTreeMap::from([(name.to_owned(), StringList::default())]),
    };
    let schemes = BTreeMap::from([(BEARER.to_owned(), bearer), (API_KEY.to_owned(), header)]);
    (schemes, vec![alone(BEARER), alone(API_KEY)])
}

/// A card has at least one skill: an agent that shows none is itself the skill.
fn skills(agent: &AgentDescriptor, extended: bool) -> Vec<AgentSkill> {
    let mut shown = agent.skills.iter().filter(|skill| extended || !skill.extended).peekable();
    if shown.peek().is_none() {
        let name = agent.name.to_string();
        return vec![AgentSkill {
            id: name.clone(),
            name: name.clone(),
            description: or_name(&agent.description, agent),
            tags: vec![name],
            examples: Vec::new(),
            input_modes: Vec::new(),
            output_modes: Vec::new(),
            security_requirements: Vec::new(),
        }];
    }
    shown.map(|skill| of_skill(skill, agent)).collect()
}

fn of_skill(skill: &Skill, agent: &AgentDescriptor) -> AgentSkill {
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

fn or_name(description: &str, agent: &AgentDescriptor) -> String {
    if description.is_empty() { agent.name.to_string() } else { description.to_owned() }
}

/// Lists that a card requires hold at least one element.
fn or_text(modes: &[String]) -> Vec<String> {
    if modes.is_empty() { vec!["text/plain".to_owned()] } else { modes.to_vec() }
}
