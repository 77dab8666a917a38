//! Artifact (A2A 4.1.7).

use super::{Each, V1, part};
use crate::{
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    write::Members,
};
use longhaul_domain::{Artifact, ArtifactId};
use serde::{Serialize, Serializer};

impl Serialize for V1<'_, Artifact> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let artifact = self.0;
        let mut members = Members::open(serializer)?;
        members.put("artifactId", artifact.artifact_id.as_str())?;
        members.maybe("name", artifact.name.as_ref())?;
        members.maybe("description", artifact.description.as_ref())?;
        members.put("parts", &Each(&artifact.parts))?;
        members.maybe("metadata", artifact.metadata.as_ref())?;
        members.list("extensions", &artifact.extensions)?;
        members.close()
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Artifact> {
    let [id, name, description, parts, metadata, extensions] =
        object(raw, at, ["artifactId", "name", "description", "parts", "metadata", "extensions"])?;
    let id = id.required(at, scalar::id(ArtifactId::new));
    let name = name.some_text(at);
    let description = description.some_text(at);
    let parts = parts.list(at, part::read);
    let metadata = metadata.optional(at, scalar::json_object);
    let extensions = extensions.list(at, scalar::text);
    Ok(Artifact {
        artifact_id: id?,
        name: name?,
        description: description?,
        parts: parts?,
        metadata: metadata?,
        extensions: extensions?,
    })
}
