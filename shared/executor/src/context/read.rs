//! Reading: large parts, other tasks, what is there already.

use super::TaskContext;
use crate::ContextError;
use bytes::Bytes;
use longhaul_domain::{
    ArtifactId, BlobHash, BlobRef, BlobSlot, Content, HistoryItem, JsonObject, Message, Part, Seq,
    Task,
};

/// An artifact that the task has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedArtifact {
    /// Which.
    pub id: ArtifactId,
    /// How many parts it has.
    pub parts: usize,
}

impl TaskContext {
    /// The bytes of a file or text part, also of a large one. A URL is not fetched.
    pub async fn bytes(&self, part: &Part) -> Result<Bytes, ContextError> {
        let wrong = |holds| ContextError::WrongContent { holds, wanted: "bytes" };
        match self.content(part).await? {
            Content::Raw(bytes) => Ok(bytes),
            Content::Text(text) => Ok(text.into()),
            Content::Data(_) => Err(wrong("JSON data")),
            Content::Url(_) => Err(wrong("a URL")),
            Content::Blob(blob) => Err(ContextError::MissingBlob(blob.hash)),
        }
    }

    /// The text of a text part or of a text file (its media type says so, and it is UTF-8), also of a large one.
    pub async fn text(&self, part: &Part) -> Result<String, ContextError> {
        let wrong = |holds| ContextError::WrongContent { holds, wanted: "text" };
        let mut part = part.clone();
        self.resolve_parts(std::slice::from_mut(&mut part)).await?;
        if let Some(text) = part.as_text() {
            return Ok(text.to_owned());
        }
        match part.content {
            Content::Text(_) | Content::Raw(_) => Err(wrong("bytes that are no text in UTF-8")),
            Content::Data(_) => Err(wrong("JSON data")),
            Content::Url(_) => Err(wrong("a URL")),
            Content::Blob(blob) => Err(ContextError::MissingBlob(blob.hash)),
        }
    }

    /// The message with all its large parts and metadata in place.
    pub async fn resolve(&self, mut message: Message) -> Result<Message, ContextError> {
        self.restore(message.blob_slots().collect()).await?;
        Ok(message)
    }

    /// The metadata in place, also where it is large.
    pub async fn resolve_metadata(
        &self,
        mut metadata: JsonObject,
    ) -> Result<JsonObject, ContextError> {
        self.restore(vec![BlobSlot::Metadata(&mut metadata)]).await?;
        Ok(metadata)
    }

    /// Messages of both sides before a place, in the order of the log: one page, its newest message right before the place. Begin
    /// with [`earlier_before`](Self::earlier_before) and go on before the first message of each page; an empty page is the end.
    pub async fn earlier_messages(&self, before: Seq) -> Result<Vec<HistoryItem>, ContextError> {
        Ok(self.run.io.messages_before(before).await?)
    }

    /// Puts the content and metadata of large parts back in place, in one read.
    pub async fn resolve_parts(&self, parts: &mut [Part]) -> Result<(), ContextError> {
        self.restore(parts.iter_mut().flat_map(Part::blob_slots).collect()).await
    }

    async fn restore(&self, slots: Vec<BlobSlot<'_>>) -> Result<(), ContextError> {
        let apart: Vec<(BlobRef, BlobSlot<'_>)> =
            slots.into_iter().filter_map(|slot| Some((slot.blob()?, slot))).collect();
        if apart.is_empty() {
            return Ok(());
        }
        let hashes: Vec<BlobHash> = apart.iter().map(|(blob, _)| blob.hash).collect();
        let blobs = self.run.io.read_blobs(hashes).await?;
        for (blob, mut slot) in apart {
            let bytes = blobs.get(&blob.hash).ok_or(ContextError::MissingBlob(blob.hash))?.clone();
            slot.restore(&blob, bytes)?;
        }
        Ok(())
    }

    /// A task of the same owner; nothing when there is none.
    pub async fn task(&self, id: longhaul_domain::TaskId) -> Result<Option<Task>, ContextError> {
        Ok(self.run.io.read_task(id).await?)
    }

    /// The tasks that the last message refers to, in its order. References that lead nowhere are left out.
    pub async fn referenced_tasks(&self) -> Result<Vec<Task>, ContextError> {
        let mut tasks = Vec::new();
        for id in self.message().reference_task_ids.iter().filter_map(|id| id.parse().ok()) {
            tasks.extend(self.run.io.read_task(id).await?);
        }
        Ok(tasks)
    }

    /// Up to `limit` earlier tasks of the same conversation, newest first, without their artifacts.
    pub async fn earlier_tasks(&self, limit: u32) -> Result<Vec<Task>, ContextError> {
        Ok(self.run.io.context_tasks(limit).await?)
    }

    /// The artifacts that earlier attempts and turns of this task have left, and what this one has added so far and is durable
    /// (not what a step under way holds back).
    pub async fn produced_artifacts(&self) -> Result<Vec<ProducedArtifact>, ContextError> {
        if !self.has_written() && !self.assignment().may_have_output() {
            return Ok(Vec::new());
        }
        let task = self.run.io.read_artifacts(self.task_id()).await?;
        let artifacts = task.map(|task| task.artifacts).unwrap_or_default();
        Ok(artifacts
            .into_iter()
            .map(|artifact| ProducedArtifact {
                id: artifact.artifact_id,
                parts: artifact.parts.len(),
            })
            .collect())
    }

    async fn content(&self, part: &Part) -> Result<Content, ContextError> {
        let mut part = part.clone();
        self.resolve_parts(std::slice::from_mut(&mut part)).await?;
        Ok(part.content)
    }
}
