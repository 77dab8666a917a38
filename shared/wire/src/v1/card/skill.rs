//! `AgentSkill` (A2A 4.4.5).

use super::security::{self, SecurityRequirement};
use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use serde::Serialize;

/// Something that an agent can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSkill {
    /// Unique within the agent.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Key words.
    pub tags: Vec<String>,
    /// What one might say to use it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Media types that it reads; empty: those of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input_modes: Vec<String>,
    /// Media types that it writes; empty: those of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_modes: Vec<String>,
    /// What it needs beyond the agent's own requirements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_requirements: Vec<SecurityRequirement>,
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentSkill> {
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
    let requirements = requirements.list(at, security::read_requirement);
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
