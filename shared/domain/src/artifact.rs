//! Artifacts: what a task produces, whole or chunk by chunk (A2A 4.1.7, 4.2.2).

use crate::{
    ArtifactId, BlobSlot, JsonObject, Part,
    message::{LenOf, has_blob, object_len},
};
use serde::{Deserialize, Serialize};

/// A result of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Unique within its task.
    pub artifact_id: ArtifactId,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it holds.
    pub parts: Vec<Part>,
    /// Anything else about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
    /// URIs of the extensions that contributed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

impl Artifact {
    /// An artifact of these parts and nothing else.
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

    /// About how many bytes it takes in a stored entry.
    pub(crate) fn stored_len(&self, count: LenOf) -> usize {
        let texts = [&self.name, &self.description].into_iter().flatten().chain(&self.extensions);
        let texts: usize = texts.map(|text| text.len() + 3).sum();
        let parts: usize = self.parts.iter().map(|part| part.stored_len(count)).sum();
        parts + texts + object_len(self.metadata.as_ref(), count)
    }

    /// The contents of the artifact that may be kept apart.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.metadata.as_mut().map(BlobSlot::Metadata);
        self.parts.iter_mut().flat_map(Part::blob_slots).chain(metadata)
    }

    /// Whether any of its contents is kept apart.
    pub fn has_blobs(&self) -> bool {
        has_blob(self.metadata.as_ref()) || self.parts.iter().any(Part::has_blobs)
    }
}

/// One chunk of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactUpdate {
    /// The artifact, or what is to be added to it.
    pub artifact: Artifact,
    /// Whether the parts go behind those that are there. `false` replaces the artifact whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Whether this is the last chunk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_chunk: bool,
    /// Anything else about this chunk; not part of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

impl ArtifactUpdate {
    /// The artifact whole, in one chunk.
    pub const fn whole(artifact: Artifact) -> Self {
        Self { artifact, append: false, last_chunk: true, metadata: None }
    }

    /// Applies this chunk to the artifacts that are there. Name, description and metadata of an artifact are those
    /// of its first chunk: a chunk that is appended adds parts only.
    pub fn apply_to(self, artifacts: &mut Vec<Artifact>) {
        let id = &self.artifact.artifact_id;
        // The next chunk is most often of the artifact that came last.
        match artifacts.iter_mut().rev().find(|a| a.artifact_id == *id) {
            Some(there) if self.append => there.parts.extend(self.artifact.parts),
            Some(there) => *there = self.artifact,
            None => artifacts.push(self.artifact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str, append: bool) -> ArtifactUpdate {
        let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text(text)]);
        ArtifactUpdate { append, last_chunk: false, ..ArtifactUpdate::whole(artifact) }
    }

    fn texts(artifacts: &[Artifact]) -> Vec<&str> {
        artifacts[0].parts.iter().filter_map(Part::as_text).collect()
    }

    #[test]
    fn chunks_are_appended_and_a_first_chunk_replaces() {
        let mut artifacts = Vec::new();
        chunk("1", false).apply_to(&mut artifacts);
        chunk("2", true).apply_to(&mut artifacts);
        assert_eq!(texts(&artifacts), ["1", "2"]);
        chunk("3", false).apply_to(&mut artifacts);
        assert_eq!(texts(&artifacts), ["3"]);
        assert_eq!(artifacts.len(), 1);
    }
}
