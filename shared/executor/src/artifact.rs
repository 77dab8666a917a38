//! Artifacts that are written chunk by chunk.
//!
//! Each chunk is an entry of the task's log once it is durable. When the worker dies between two chunks, the next attempt
//! begins the artifact anew (readers replace what they had), unless it continues it explicitly.

use crate::{ContextError, TaskContext};
use longhaul_domain::{Artifact, ArtifactId, ArtifactUpdate, JsonObject, Part};

/// What describes an artifact that is to be written. All of it is sent with the first chunk.
#[derive(Debug, Clone, Default)]
pub struct ArtifactSpec {
    /// Its id; none: the next ordinal one.
    pub id: Option<ArtifactId>,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Anything else about it.
    pub metadata: Option<JsonObject>,
    /// URIs of the extensions that contribute to it.
    pub extensions: Vec<String>,
}

impl ArtifactSpec {
    /// An artifact with a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// With an id of the executor's own. It must be the same in every attempt, so that a later one replaces an earlier.
    #[must_use]
    pub fn id(mut self, id: ArtifactId) -> Self {
        self.id = Some(id);
        self
    }
}

/// Writes one artifact in chunks. A writer that is dropped leaves the artifact as it is.
#[derive(Debug)]
pub struct ArtifactWriter {
    ctx: TaskContext,
    /// What goes out with the first chunk; its parts are always empty.
    head: Artifact,
    begun: bool,
}

impl ArtifactWriter {
    pub(crate) const fn new(ctx: TaskContext, head: Artifact, begun: bool) -> Self {
        Self { ctx, head, begun }
    }

    /// The artifact's id.
    pub const fn id(&self) -> &ArtifactId {
        &self.head.artifact_id
    }

    /// Sends a chunk; nothing when there are no parts. Waits while the buffer is full.
    pub async fn write(&mut self, parts: Vec<Part>) -> Result<(), ContextError> {
        self.send(parts, false, None).await
    }

    /// Sends a chunk with metadata of its own, which does not become part of the artifact.
    pub async fn write_with(
        &mut self,
        parts: Vec<Part>,
        metadata: JsonObject,
    ) -> Result<(), ContextError> {
        self.send(parts, false, Some(metadata)).await
    }

    /// Sends the last chunk. Without parts there is nothing to send: that a chunk is the last is a hint only.
    pub async fn finish(mut self, parts: Vec<Part>) -> Result<(), ContextError> {
        self.send(parts, true, None).await
    }

    async fn send(
        &mut self,
        parts: Vec<Part>,
        last_chunk: bool,
        metadata: Option<JsonObject>,
    ) -> Result<(), ContextError> {
        if parts.is_empty() && (self.begun || !last_chunk) {
            return Ok(());
        }
        let artifact = if self.begun {
            Artifact::new(self.head.artifact_id.clone(), parts)
        } else {
            Artifact { parts, ..self.head.clone() }
        };
        let update = ArtifactUpdate { artifact, append: self.begun, last_chunk, metadata };
        self.ctx.artifact_update(update).await?;
        self.begun = true;
        Ok(())
    }
}
