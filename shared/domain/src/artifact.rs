//! Artifacts, the output of a task, complete or chunk by chunk (A2A 4.1.7, 4.2.2).

use crate::{ArtifactId, JsonObject, Part};
use serde::{Deserialize, Serialize};

/// A result of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The id; unique within the task.
    pub artifact_id: ArtifactId,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The contents.
    pub parts: Vec<Part>,
    /// Further data, not interpreted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
    /// URIs of the extensions that contributed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

impl Artifact {
    /// Creates an artifact of these parts, without further attributes.
    pub const fn new(artifact_id: ArtifactId, parts: Vec<Part>) -> Self {
        Self {
            artifact_id,
            name: None,
            description: None,
            parts,
            metadata: None,
            extensions: Vec::new(),
        }
    }
}

/// A chunk of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactUpdate {
    /// The artifact, or the parts to append to it.
    pub artifact: Artifact,
    /// Appends the parts to the existing ones; `false` replaces the artifact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Marks the last chunk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_chunk: bool,
    /// Further data about this chunk; not part of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

impl ArtifactUpdate {
    /// Wraps a complete artifact in one chunk.
    pub const fn complete(artifact: Artifact) -> Self {
        Self { artifact, append: false, last_chunk: true, metadata: None }
    }

    /// Applies this chunk to the artifacts of a task. Name, description and metadata are those of
    /// the first chunk: a chunk that is appended adds parts only.
    pub fn apply_to(self, artifacts: &mut Vec<Artifact>) {
        let id = &self.artifact.artifact_id;
        // Search backwards: most chunks belong to the latest artifact.
        match artifacts.iter_mut().rev().find(|a| a.artifact_id == *id) {
            Some(existing) if self.append => existing.parts.extend(self.artifact.parts),
            Some(existing) => *existing = self.artifact,
            // A chunk of an unknown artifact starts it, even if it says `append`.
            None => artifacts.push(self.artifact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str, append: bool) -> ArtifactUpdate {
        let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text(text)]);
        ArtifactUpdate { append, last_chunk: false, ..ArtifactUpdate::complete(artifact) }
    }

    fn texts(artifacts: &[Artifact]) -> Vec<&str> {
        artifacts[0].parts.iter().filter_map(Part::as_text).collect()
    }

    #[test]
    fn later_chunks_append_and_a_first_chunk_replaces() {
        let mut artifacts = Vec::new();
        chunk("1", false).apply_to(&mut artifacts);
        chunk("2", true).apply_to(&mut artifacts);
        assert_eq!(texts(&artifacts), ["1", "2"]);
        chunk("3", false).apply_to(&mut artifacts);
        assert_eq!(texts(&artifacts), ["3"]);
        assert_eq!(artifacts.len(), 1);
    }
}
