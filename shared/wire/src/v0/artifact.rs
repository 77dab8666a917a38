//! Artifact. In 0.1 it has no id: it is known by its place among the artifacts of the task.

use super::{Cx, LegacyForm, part};
use crate::{
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    v1::count,
    write::Members,
};
use longhaul_domain::{Artifact, ArtifactId, ArtifactUpdate};
use serde::{Serialize, Serializer};

/// An artifact at a place among those of its task, whole or as a chunk.
pub(super) struct Placed<'a> {
    pub cx: Cx<'a>,
    pub artifact: &'a Artifact,
    pub index: usize,
    /// In 0.1 the artifact itself says how it goes with what is there.
    pub chunk: Option<&'a ArtifactUpdate>,
}

impl Serialize for Placed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (artifact, first) = (self.artifact, self.cx.form == LegacyForm::V0_1);
        let mut members = Members::open(serializer)?;
        if !first {
            members.put("artifactId", artifact.artifact_id.as_str())?;
        }
        members.maybe("name", artifact.name.as_ref())?;
        members.maybe("description", artifact.description.as_ref())?;
        members.put("parts", &self.cx.each(&artifact.parts))?;
        members.maybe("metadata", artifact.metadata.as_ref())?;
        if first {
            members.put("index", &self.index)?;
            members.flag("append", self.chunk.is_some_and(|chunk| chunk.append))?;
            members.flag("lastChunk", self.chunk.is_some_and(|chunk| chunk.last_chunk))?;
        } else {
            members.list("extensions", &artifact.extensions)?;
        }
        members.close()
    }
}

/// An artifact as it was read, with what 0.1 says in it about chunks.
pub(super) struct ReadArtifact {
    pub artifact: Artifact,
    pub append: bool,
    pub last_chunk: bool,
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReadArtifact> {
    let [id, name, description, parts, metadata, extensions] =
        object(raw, at, ["artifactId", "name", "description", "parts", "metadata", "extensions"])?;
    let [index, append, last_chunk] = object(raw, at, ["index", "append", "lastChunk"])?;
    let id = match form {
        LegacyForm::V0_1 => index
            .optional(at, |raw, at| count(raw, at, 0, i32::MAX.unsigned_abs()))
            .and_then(|index| of_index(at, index.unwrap_or_default())),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => id.required(at, scalar::id(ArtifactId::new)),
    };
    let name = name.some_text(at);
    let description = description.some_text(at);
    let parts = parts.list(at, |raw, at| part::read(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    let append = append.flag(at);
    let last_chunk = last_chunk.flag(at);
    let artifact = Artifact {
        artifact_id: id?,
        name: name?,
        description: description?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
    };
    Ok(ReadArtifact { artifact, append: append?, last_chunk: last_chunk? })
}

/// The id that stands for a place of 0.1 on this side.
fn of_index(at: &JsonPath<'_>, index: u32) -> Parsed<ArtifactId> {
    ArtifactId::new(format!("artifact-{index}")).or_else(|why| at.refuse(why.to_string()))
}
