//! A2A extensions (4.6): declarations of agents, and the URIs of Longhaul's own.

use crate::JsonObject;
use serde::{Deserialize, Serialize};

/// The declaration of an extension by an agent (A2A 4.4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// The URI, which includes the version; unique within the agent.
    pub uri: String,
    /// A description for people of its use by the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Rejects messages of clients that do not declare it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Parameters that the extension defines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<JsonObject>,
}

impl Extension {
    /// Declares an optional extension without description and parameters.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), description: String::new(), required: false, params: None }
    }
}

/// URI of the resume extension. Bindings without event ids carry the stream cursor in event
/// metadata under it.
pub const RESUME_EXTENSION: &str = "urn:longhaul:a2a:resume:v1";

/// URI of the durability extension. Attempts, failure causes and scheduling options stand in
/// metadata under it.
pub const DURABILITY_EXTENSION: &str = "urn:longhaul:a2a:durability:v1";
