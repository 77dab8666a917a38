//! Agents as workers register them at start and cards show them (A2A 4.4.1).

use crate::{AgentLimits, AgentName, extension::Extension};
use serde::{Deserialize, Serialize};

/// A capability of an agent (A2A 4.4.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skill {
    /// The id; unique within the agent.
    pub id: String,
    /// The display name.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// Keywords.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Example messages that use the skill.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Media types of its input; empty: those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_modes: Vec<String>,
    /// Media types of its output; empty: those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_modes: Vec<String>,
    /// Shows the skill on the extended card only, to authenticated callers (A2A 3.1.11). Anyone can
    /// still use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extended: bool,
}

/// The description of an agent by its executor. The agent stays registered while none of its
/// workers runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentDescriptor {
    /// The name, shared with its executor and its queue.
    pub name: AgentName,
    /// The version of the executor. Cards show the highest one registered.
    pub version: String,
    /// A description for people.
    pub description: String,
    /// The skills; never empty on a card.
    pub skills: Vec<Skill>,
    /// Media types of its input, such as `text/plain` or `*/*`.
    pub input_modes: Vec<String>,
    /// Media types of its output.
    pub output_modes: Vec<String>,
    /// Allows answers with a message instead of a task.
    #[serde(default)]
    pub direct: bool,
    /// Extensions that it declares in addition to Longhaul's (A2A 4.6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// Limits on running and queued tasks, across all workers and nodes.
    #[serde(default, skip_serializing_if = "AgentLimits::is_none")]
    pub limits: AgentLimits,
}

impl AgentDescriptor {
    /// Tells whether the agent or one of its skills reads a media type, as [`media_type_matches`]
    /// compares them.
    pub fn accepts(&self, media_type: &str) -> bool {
        let skill_modes = self.skills.iter().flat_map(|skill| &skill.input_modes);
        self.input_modes.iter().chain(skill_modes).any(|mode| media_type_matches(mode, media_type))
    }

    /// Tells whether the extended card shows more skills than the public one.
    pub fn has_extended_skills(&self) -> bool {
        self.skills.iter().any(|skill| skill.extended)
    }

    /// Tells whether this version is at least as high as another one.
    pub fn supersedes(&self, other: &str) -> bool {
        version_order(&self.version) >= version_order(other)
    }
}

/// The sort key of a version: numbers by value, a pre-release before its release, other words as
/// text.
fn version_order(version: &str) -> (Vec<u64>, bool, String) {
    // Build metadata has no part in the order (SemVer 10).
    let version = version.split('+').next().unwrap_or_default();
    // A release sorts after its candidates: `true` for no pre-release is the greater.
    let (numbers, pre) = version.split_once('-').unwrap_or((version, ""));
    let numbers = numbers.trim_start_matches('v').split('.').map(|n| n.parse().unwrap_or(0));
    (numbers.collect(), pre.is_empty(), pre.to_owned())
}

/// Tells whether a mode covers a media type: the same type, or a range such as `*/*`, `*` or
/// `text/*`. Parameters and case are ignored. A mode without a slash is a range too: clients of A2A
/// 0.1 send `text`.
pub fn media_type_matches(mode: &str, media_type: &str) -> bool {
    // Compare the essence only: `text/plain; charset=utf-8` is `text/plain`.
    let essence =
        |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (mode, media_type) = (essence(mode), essence(media_type));
    // `text/*` and the bare `text` of A2A 0.1 are the same family.
    let family = mode.strip_suffix("/*").or_else(|| (!mode.contains('/')).then_some(&*mode));
    match family {
        _ if mode == "*/*" || mode == "*" => true,
        Some(family) => media_type.split('/').next() == Some(family),
        None => mode == media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_match_families_and_ignore_parameters() {
        assert!(media_type_matches("*/*", "application/pdf"));
        assert!(media_type_matches("text/*", "Text/Plain; charset=utf-8"));
        assert!(media_type_matches("text", "text/plain"));
        assert!(!media_type_matches("text", "application/text"));
        assert!(!media_type_matches("", "text/plain"));
        assert!(media_type_matches("application/pdf", "application/PDF"));
        assert!(!media_type_matches("text/*", "image/png"));
        assert!(!media_type_matches("text/plain", "text/html"));
    }

    #[test]
    fn agents_registered_by_earlier_versions_are_still_read() {
        let before = r#"{"name":"a","version":"1","description":"","skills":[{"id":"s","name":"S","description":"","tags":[]}],"inputModes":[],"outputModes":[],"direct":false}"#;
        let agent: AgentDescriptor = serde_json::from_str(before).unwrap();
        assert!(agent.extensions.is_empty() && !agent.has_extended_skills());
        assert_eq!(serde_json::to_string(&agent).unwrap(), before);
    }

    #[test]
    fn versions_are_ordered_by_number_and_a_release_follows_its_candidates() {
        let older_first = ["0.9", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0+build", "2.0.0"];
        for pair in older_first.windows(2) {
            assert!(version_order(pair[0]) < version_order(pair[1]), "{pair:?}");
        }
    }
}
