//! Agent card (A2A 4.4.1).

mod capabilities;
mod flows;
mod interface;
mod security;
mod signature;
mod skill;

pub use capabilities::{AgentCapabilities, AgentExtension};
pub(crate) use flows::read as read_flows;
pub use flows::{
    AuthorizationCodeOAuthFlow, ClientCredentialsOAuthFlow, DeviceCodeOAuthFlow, ImplicitOAuthFlow,
    OAuthFlows, PasswordOAuthFlow,
};
pub use interface::{AgentInterface, AgentProvider};
pub use security::{
    APIKeySecurityScheme, HTTPAuthSecurityScheme, MutualTlsSecurityScheme, OAuth2SecurityScheme,
    OpenIdConnectSecurityScheme, SecurityRequirement, SecurityScheme, StringList,
};
pub use signature::AgentCardSignature;
pub use skill::AgentSkill;

use crate::{
    WireError,
    raw::{JsonPath, Parsed, RawJson, object, read_root, scalar},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What an agent says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCard {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Where and how to reach it, the preferred one first.
    pub supported_interfaces: Vec<AgentInterface>,
    /// Who runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<AgentProvider>,
    /// Version of the agent.
    pub version: String,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
    /// What it can do beyond the core.
    pub capabilities: AgentCapabilities,
    /// Ways to authenticate, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub security_schemes: BTreeMap<String, SecurityScheme>,
    /// Which of them are needed; one of the list is enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_requirements: Vec<SecurityRequirement>,
    /// Media types that it reads.
    pub default_input_modes: Vec<String>,
    /// Media types that it writes.
    pub default_output_modes: Vec<String>,
    /// What it can do.
    pub skills: Vec<AgentSkill>,
    /// Signatures over the card.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<AgentCardSignature>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
}

/// Reads a card that a server gave.
pub fn received_card(raw: &RawValue) -> Result<AgentCard, WireError> {
    read_root(raw, |raw, at| read(raw, at, security::read_scheme)).map_err(WireError::Invalid)
}

/// Reads a card whose security schemes have a shape of their own.
pub(crate) fn read(
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
    scheme: impl Fn(RawJson<'_>, &JsonPath<'_>) -> Parsed<SecurityScheme>,
) -> Parsed<AgentCard> {
    let [name, description, interfaces, provider, version, documentation, capabilities] = object(
        raw,
        at,
        [
            "name",
            "description",
            "supportedInterfaces",
            "provider",
            "version",
            "documentationUrl",
            "capabilities",
        ],
    )?;
    let [schemes, requirements, inputs, outputs, skills, signatures, icon] = object(
        raw,
        at,
        [
            "securitySchemes",
            "securityRequirements",
            "defaultInputModes",
            "defaultOutputModes",
            "skills",
            "signatures",
            "iconUrl",
        ],
    )?;
    let name = name.required(at, scalar::text);
    let description = description.text(at);
    let interfaces = interfaces.list(at, interface::read);
    let provider = provider.optional(at, interface::read_provider);
    let version = version.text(at);
    let documentation = documentation.optional(at, scalar::text);
    let capabilities = capabilities.optional(at, capabilities::read);
    let schemes = schemes.map(at, scheme);
    let requirements = requirements.list(at, security::read_requirement);
    let inputs = inputs.list(at, scalar::text);
    let outputs = outputs.list(at, scalar::text);
    let skills = skills.list(at, skill::read);
    let signatures = signatures.list(at, signature::read);
    let icon = icon.optional(at, scalar::text);
    Ok(AgentCard {
        name: name?,
        description: description?,
        supported_interfaces: interfaces?,
        provider: provider?,
        version: version?,
        documentation_url: documentation?,
        capabilities: capabilities?.unwrap_or_default(),
        security_schemes: schemes?,
        security_requirements: requirements?,
        default_input_modes: inputs?,
        default_output_modes: outputs?,
        skills: skills?,
        signatures: signatures?,
        icon_url: icon?,
    })
}
