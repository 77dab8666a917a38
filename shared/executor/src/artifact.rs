//! Artifacts that are written chunk by chunk.
//!
//! A chunk becomes an entry of the task's log once it is durable. When the worker dies between two
//! chunks, the next attempt begins the artifact anew, and readers replace their copy. An attempt
//! can also continue the artifact explicitly.

use crate::{ContextError, TaskContext};
use longhaul_domain::{Artifact, ArtifactId, ArtifactUpdate, JsonObject, Part};

/// The description of an artifact that is sent in chunks. All of it goes out with the first chunk.
#[derive(Debug, Clone, Default)]
pub struct ArtifactSpec {
    /// The id. `None` chooses the next ordinal one.
    pub id: Option<ArtifactId>,
    /// A name for people.
    pub name: Option<String>,
    /// A description for people.
    pub description: Option<String>,
    /// Metadata of the artifact.
    pub metadata: Option<JsonObject>,
    /// URIs of the extensions that contribute to the artifact.
    pub extensions: Vec<String>,
}

impl ArtifactSpec {
    /// An artifact with a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Sets the id. It must be the same in every attempt, so that a later attempt replaces what an
    /// earlier one sent.
    #[must_use]
    pub fn id(mut self, id: ArtifactId) -> Self {
        self.id = Some(id);
        self
    }
}

/// Writes one artifact in chunks. Dropping the writer leaves the artifact as it is.
#[derive(Debug)]
pub struct ArtifactWriter {
    ctx: TaskContext,
    /// The description that goes out with the first chunk; its parts are always empty.
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

    /// Sends a chunk. Does nothing without parts. Waits while the output buffer is full.
    ///
    /// # Errors
    /// The run was stopped, or the chunk cannot be kept.
    pub async fn write(&mut self, parts: Vec<Part>) -> Result<(), ContextError> {
        self.send(parts, false, None).await
    }

    /// Sends a chunk with its own metadata, which does not become part of the artifact.
    ///
    /// # Errors
    /// Fails like [`write`](Self::write).
    pub async fn write_with(
        &mut self,
        parts: Vec<Part>,
        metadata: JsonObject,
    ) -> Result<(), ContextError> {
        self.send(parts, false, Some(metadata)).await
    }

    /// Sends the last chunk. Without parts nothing is sent: the mark on the last chunk is only a
    /// hint.
    ///
    /// # Errors
    /// Fails like [`write`](Self::write).
    pub async fn finish(mut self, parts: Vec<Part>) -> Result<(), ContextError> {
        self.send(parts, true, None).await
    }

    async fn send(
        &mut self,
        parts: Vec<Part>,
        last_chunk: bool,
        metadata: Option<JsonObject>,
    ) -> Result<(), ContextError> {
        // An artifact that was never begun still needs its first chunk, so an empty last chunk of one
        // reaches the check below and fails there.
        if parts.is_empty() && (self.begun || !last_chunk) {
            return Ok(());
        }
        // Only the first chunk carries the description: readers keep it for the whole artifact.
        let artifact = if self.begun {
            Artifact::new(self.head.artifact_id.clone(), parts)
        } else {
            Artifact { parts, ..self.head.clone() }
        };
        let update = ArtifactUpdate { artifact, append: self.begun, last_chunk, metadata };
        self.ctx.artifact_update(update).await?;
        // Not before the send: a failed first chunk has begun nothing.
        self.begun = true;
        Ok(())
    }
}
