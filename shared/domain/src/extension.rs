//! Extensions of A2A (4.6): those that an agent declares, and the URIs of those that Longhaul defines.

use crate::JsonObject;
use serde::{Deserialize, Serialize};

/// An extension that an agent declares (A2A 4.4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// Names it, with its version; unique within the agent.
    pub uri: String,
    /// For people: what the agent uses it for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether a message is refused whose client does not declare it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// What the extension itself defines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<JsonObject>,
}

impl Extension {
    /// An optional one, without a word.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), description: String::new(), required: false, params: None }
    }
}

/// Resuming a stream by cursor. Where a binding has no event id, the cursor stands in event metadata under this URI.
pub const RESUME_EXTENSION: &str = "urn:longhaul:a2a:resume:v1";

/// Durability: attempts, failure causes and scheduling, in metadata under this URI.
pub const DURABILITY_EXTENSION: &str = "urn:longhaul:a2a:durability:v1";
