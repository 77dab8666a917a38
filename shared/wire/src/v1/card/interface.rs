//! `AgentInterface` and `AgentProvider` (A2A 4.4.6, 4.4.2).

use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use serde::Serialize;

/// Where and how to reach an agent.
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

/// Who runs an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentProvider {
    /// Their site.
    pub url: String,
    /// Their name.
    pub organization: String,
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentInterface> {
    let [url, binding, tenant, version] =
        object(raw, at, ["url", "protocolBinding", "tenant", "protocolVersion"])?;
    let url = url.required(at, scalar::text);
    let binding = binding.required(at, scalar::text);
    let tenant = tenant.some_text(at);
    let version = version.text(at);
    Ok(AgentInterface {
        url: url?,
        protocol_binding: binding?,
        tenant: tenant?,
        protocol_version: version?,
    })
}

pub(super) fn read_provider(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentProvider> {
    let [url, organization] = object(raw, at, ["url", "organization"])?;
    let url = url.text(at);
    let organization = organization.text(at);
    Ok(AgentProvider { url: url?, organization: organization? })
}
