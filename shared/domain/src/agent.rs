//! Agents: what a worker registers when it starts, and what cards show (A2A 4.4.1).

use crate::{AgentLimits, AgentName, extension::Extension};
use serde::{Deserialize, Serialize};

/// Something that an agent can do (A2A 4.4.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skill {
    /// Unique within the agent.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Key words.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What one might say to use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Media types that it reads; empty: those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_modes: Vec<String>,
    /// Media types that it writes; empty: those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_modes: Vec<String>,
    /// Whether only the extended card shows it, to those who showed who they are (A2A 3.1.11). It can be used all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extended: bool,
}

/// An agent, as its executor describes it. It stays registered when no worker runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentDescriptor {
    /// Its name, that of its executor and of its queue.
    pub name: AgentName,
    /// Version of the executor; of several registered ones the highest shows.
    pub version: String,
    /// For people.
    pub description: String,
    /// What it can do; never empty on a card.
    pub skills: Vec<Skill>,
    /// Media types that it reads, such as `text/plain` or `*/*`.
    pub input_modes: Vec<String>,
    /// Media types that it writes.
    pub output_modes: Vec<String>,
    /// Whether it may answer with a message instead of a task.
    #[serde(default)]
    pub direct: bool,
    /// Extensions of its own, beside those of Longhaul (A2A 4.6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// How much may run and wait, over all workers and nodes.
    #[serde(default, skip_serializing_if = "AgentLimits::is_none")]
    pub limits: AgentLimits,
}

impl AgentDescriptor {
    /// Whether some skill reads this media type. A type without parameters is compared; `*/*` and `text/*` match as
    /// one expects.
    pub fn accepts(&self, media_type: &str) -> bool {
        let of_skills = self.skills.iter().flat_map(|skill| &skill.input_modes);
        self.input_modes.iter().chain(of_skills).any(|mode| media_type_matches(mode, media_type))
    }

    /// Whether its extended card says more than its public one.
    pub fn has_extended_skills(&self) -> bool {
        self.skills.iter().any(|skill| skill.extended)
    }

    /// Whether this version is newer than, or the same as, another one.
    pub fn supersedes(&self, other: &str) -> bool {
        version_order(&self.version) >= version_order(other)
    }
}

/// Orders versions: numbers by value, a pre-release before its release, other words as text.
fn version_order(version: &str) -> (Vec<u64>, bool, String) {
    let version = version.split('+').next().unwrap_or_default();
    let (numbers, pre) = version.split_once('-').unwrap_or((version, ""));
    let numbers = numbers.trim_start_matches('v').split('.').map(|n| n.parse().unwrap_or(0));
    (numbers.collect(), pre.is_empty(), pre.to_owned())
}

/// Whether a media type is one of a mode: the same type, or one of `*/*`, `*` or `text/*`. Parameters and case do not count.
/// A mode without a slash is a family: clients of A2A 0.1 say `text`.
pub fn media_type_matches(mode: &str, media_type: &str) -> bool {
    let essence =
        |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (mode, media_type) = (essence(mode), essence(media_type));
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
    fn an_agent_that_was_registered_before_is_still_read_and_written() {
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
