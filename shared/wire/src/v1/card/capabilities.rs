//! `AgentCapabilities` and `AgentExtension` (A2A 4.4.3, 4.4.4).

use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use longhaul_domain::JsonObject;
use serde::Serialize;

/// What an agent can do beyond the core.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCapabilities {
    /// Streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_notifications: Option<bool>,
    /// Extensions of the protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<AgentExtension>,
    /// A card that only those see who authenticate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_agent_card: Option<bool>,
}

/// An extension of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentExtension {
    /// Which.
    pub uri: String,
    /// What the agent uses it for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether clients must declare it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Anything else about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<JsonObject>,
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentCapabilities> {
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
    let description = description.some_text(at);
    let required = required.flag(at);
    let params = params.optional(at, scalar::json_object);
    Ok(AgentExtension {
        uri: uri?,
        description: description?,
        required: required?,
        params: params?,
    })
}
