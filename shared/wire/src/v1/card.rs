//! Agent cards: `AgentCard` and the objects on it, except security (A2A 4.4.1 to 4.4.7). Cards of
//! other servers are read leniently: a missing text is empty.

pub(crate) use super::card_security::read_flows;
pub use super::card_security::{
    APIKeySecurityScheme, AuthorizationCodeOAuthFlow, ClientCredentialsOAuthFlow,
    DeviceCodeOAuthFlow, HTTPAuthSecurityScheme, ImplicitOAuthFlow, MutualTlsSecurityScheme,
    OAuth2SecurityScheme, OAuthFlows, OpenIdConnectSecurityScheme, PasswordOAuthFlow,
    SecurityRequirement, SecurityScheme, StringList,
};
use super::card_security::{read_requirement, read_scheme};
use crate::{
    WireError,
    raw::{JsonPath, Parsed, RawJson, object, read_root, scalar},
};
use longhaul_domain::JsonObject;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Self-description of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCard {
    /// Human-readable name.
    pub name: String,
    /// Human-readable description.
    pub description: String,
    /// Addresses of the agent, the preferred one first.
    pub supported_interfaces: Vec<AgentInterface>,
    /// Organization that runs the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<AgentProvider>,
    /// Version of the agent.
    pub version: String,
    /// URL of the documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
    /// Optional features.
    pub capabilities: AgentCapabilities,
    /// Authentication schemes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub security_schemes: BTreeMap<String, SecurityScheme>,
    /// Required schemes; satisfying one entry suffices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_requirements: Vec<SecurityRequirement>,
    /// Media types that the agent accepts.
    pub default_input_modes: Vec<String>,
    /// Media types that the agent produces.
    pub default_output_modes: Vec<String>,
    /// Skills of the agent.
    pub skills: Vec<AgentSkill>,
    /// Signatures over the card.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<AgentCardSignature>,
    /// URL of an icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
}

/// Reads a card from a server.
pub fn received_card(raw: &RawValue) -> Result<AgentCard, WireError> {
    read_root(raw, |raw, at| read(raw, at, read_scheme)).map_err(WireError::Invalid)
}

/// Reads a card with the given reader for security schemes.
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
    // Only the name and the interface addresses are required of other servers.
    let name = name.required(at, scalar::text);
    let description = description.text(at);
    let interfaces = interfaces.list(at, read_interface);
    let provider = provider.optional(at, read_provider);
    let version = version.text(at);
    let documentation = documentation.optional(at, scalar::text);
    let capabilities = capabilities.optional(at, read_capabilities);
    let schemes = schemes.map(at, scheme);
    let requirements = requirements.list(at, read_requirement);
    let inputs = inputs.list(at, scalar::text);
    let outputs = outputs.list(at, scalar::text);
    let skills = skills.list(at, read_skill);
    let signatures = signatures.list(at, read_signature);
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

/// Optional features of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCapabilities {
    /// Set if the agent streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Set if the agent calls webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_notifications: Option<bool>,
    /// Extensions of the protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<AgentExtension>,
    /// Set if authenticated clients can get an extended card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_agent_card: Option<bool>,
}

/// Extension of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentExtension {
    /// URI of the extension.
    pub uri: String,
    /// Use that the agent makes of the extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Set if clients must declare the extension.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Parameters of the extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<JsonObject>,
}

fn read_capabilities(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentCapabilities> {
    let [streaming, push, extensions, extended] =
        object(raw, at, ["streaming", "pushNotifications", "extensions", "extendedAgentCard"])?;
    let streaming = streaming.optional(at, scalar::boolean);
    let push = push.optional(at, scalar::boolean);
    let extensions = extensions.list(at, read_extension);
    let extended = extended.optional(at, scalar::boolean);
    Ok(AgentCapabilities {
        streaming: streaming?,
        push_notifications: push?,
        extensions: extensions?,
        extended_agent_card: extended?,
    })
}

fn read_extension(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentExtension> {
    let [uri, description, required, params] =
        object(raw, at, ["uri", "description", "required", "params"])?;
    let uri = uri.text(at);
    let description = description.optional_text(at);
    let required = required.flag(at);
    let params = params.optional(at, scalar::json_object);
    Ok(AgentExtension {
        uri: uri?,
        description: description?,
        required: required?,
        params: params?,
    })
}

/// Address of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentInterface {
    /// Absolute URL.
    pub url: String,
    /// `JSONRPC`, `GRPC`, `HTTP+JSON` or another.
    pub protocol_binding: String,
    /// Routing label that requests must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Major.Minor of the protocol.
    pub protocol_version: String,
}

/// Organization that runs an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentProvider {
    /// Website of the organization.
    pub url: String,
    /// Name of the organization.
    pub organization: String,
}

fn read_interface(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentInterface> {
    let [url, binding, tenant, version] =
        object(raw, at, ["url", "protocolBinding", "tenant", "protocolVersion"])?;
    let url = url.required(at, scalar::text);
    let binding = binding.required(at, scalar::text);
    let tenant = tenant.optional_text(at);
    let version = version.text(at);
    Ok(AgentInterface {
        url: url?,
        protocol_binding: binding?,
        tenant: tenant?,
        protocol_version: version?,
    })
}

fn read_provider(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentProvider> {
    let [url, organization] = object(raw, at, ["url", "organization"])?;
    let url = url.text(at);
    let organization = organization.text(at);
    Ok(AgentProvider { url: url?, organization: organization? })
}

/// Skill of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSkill {
    /// Id, unique within the agent.
    pub id: String,
    /// Human-readable name.
    pub name: String,
    /// Human-readable description.
    pub description: String,
    /// Keywords.
    pub tags: Vec<String>,
    /// Example prompts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Accepted media types; empty means those of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input_modes: Vec<String>,
    /// Produced media types; empty means those of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_modes: Vec<String>,
    /// Requirements beyond those of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_requirements: Vec<SecurityRequirement>,
}

fn read_skill(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentSkill> {
    let [id, name, description, tags, examples, inputs, outputs, requirements] = object(
        raw,
        at,
        [
            "id",
            "name",
            "description",
            "tags",
            "examples",
            "inputModes",
            "outputModes",
            "securityRequirements",
        ],
    )?;
    let id = id.text(at);
    let name = name.text(at);
    let description = description.text(at);
    let tags = tags.list(at, scalar::text);
    let examples = examples.list(at, scalar::text);
    let inputs = inputs.list(at, scalar::text);
    let outputs = outputs.list(at, scalar::text);
    let requirements = requirements.list(at, read_requirement);
    Ok(AgentSkill {
        id: id?,
        name: name?,
        description: description?,
        tags: tags?,
        examples: examples?,
        input_modes: inputs?,
        output_modes: outputs?,
        security_requirements: requirements?,
    })
}

/// Detached JWS over the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCardSignature {
    /// Protected header, in base64url.
    pub protected: String,
    /// Signature, in base64url.
    pub signature: String,
    /// Unprotected header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<JsonObject>,
}

fn read_signature(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentCardSignature> {
    let [protected, signature, header] = object(raw, at, ["protected", "signature", "header"])?;
    let protected = protected.text(at);
    let signature = signature.text(at);
    let header = header.optional(at, scalar::json_object);
    Ok(AgentCardSignature { protected: protected?, signature: signature?, header: header? })
}
