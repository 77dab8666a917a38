//! Reads: large parts, older messages, other tasks, and the artifacts of earlier attempts.

use super::TaskContext;
use crate::ContextError;
use bytes::Bytes;
use longhaul_domain::{
    ArtifactId, BlobHash, BlobRef, BlobSlot, Content, HistoryItem, JsonObject, Message, Part, Seq,
    Task,
};

/// An artifact that the task already has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedArtifact {
    /// The id of the artifact.
    pub id: ArtifactId,
    /// The number of its parts.
    pub parts: usize,
}

impl TaskContext {
    /// Reads the bytes of a file or text part, large ones included. Does not fetch URLs.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let file = ctx.bytes(&ctx.message().parts[0]).await?;
    ///     Ok(ctx.completed(format!("{} bytes", file.len())))
    /// });
    /// let file = Part::raw(vec![0; 100_000], "application/pdf");
    /// let report = TestRun::new(executor).parts(vec![file]).run().await;
    /// assert_eq!(report.status_text(), "100000 bytes");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The part holds JSON or a URL, its content is missing or damaged, the run was stopped, or the
    /// store is not available.
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

    /// Reads the text of a text part or a text file, large ones included. A file counts as text
    /// when its media type says so and its bytes are UTF-8.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let text = ctx.text(&ctx.message().parts[0]).await?;
    ///     Ok(ctx.completed(format!("{} words", text.split_whitespace().count())))
    /// });
    /// let file = Part::raw("one two", "text/markdown");
    /// let report = TestRun::new(executor).parts(vec![file]).run().await;
    /// assert_eq!(report.status_text(), "2 words");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The part holds no text, its content is missing or damaged, the run was stopped, or the store
    /// is not available.
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

    /// Reads the large parts and metadata of a message, and returns the message with them in place.
    /// See [`message`](Self::message) for an example.
    ///
    /// # Errors
    /// Content is missing or damaged, the run was stopped, or the store is not available.
    pub async fn resolve(&self, mut message: Message) -> Result<Message, ContextError> {
        self.restore(message.blob_slots().collect()).await?;
        Ok(message)
    }

    /// Reads metadata that is large, and returns it in place.
    ///
    /// # Errors
    /// Fails like [`resolve`](Self::resolve).
    pub async fn resolve_metadata(
        &self,
        mut metadata: JsonObject,
    ) -> Result<JsonObject, ContextError> {
        self.restore(vec![BlobSlot::Metadata(&mut metadata)]).await?;
        Ok(metadata)
    }

    /// Reads one page of messages of both sides before a position, in the order of the log. The
    /// newest message of the page stands right before the position. Begin with
    /// [`earlier_before`](Self::earlier_before) and continue before the first message of each page;
    /// an empty page is the end.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let mut count = ctx.history().len();
    ///     let mut before = ctx.earlier_before();
    ///     while let Some(position) = before {
    ///         let page = ctx.earlier_messages(position).await?;
    ///         count += page.len();
    ///         before = page.first().map(|item| item.seq);
    ///     }
    ///     Ok(ctx.completed(format!("{count} messages")))
    /// });
    /// let run = TestRun::new(executor).text("one").text("two").text("three").history_limit(1);
    /// assert_eq!(run.run().await.status_text(), "3 messages");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, or the store is not available.
    pub async fn earlier_messages(&self, before: Seq) -> Result<Vec<HistoryItem>, ContextError> {
        Ok(self.run.io.messages_before(before).await?)
    }

    /// Reads the content and metadata of large parts into place, in one read.
    ///
    /// # Errors
    /// Fails like [`resolve`](Self::resolve).
    pub async fn resolve_parts(&self, parts: &mut [Part]) -> Result<(), ContextError> {
        self.restore(parts.iter_mut().flat_map(Part::blob_slots).collect()).await
    }

    async fn restore(&self, slots: Vec<BlobSlot<'_>>) -> Result<(), ContextError> {
        let stored: Vec<(BlobRef, BlobSlot<'_>)> =
            slots.into_iter().filter_map(|slot| Some((slot.blob()?, slot))).collect();
        if stored.is_empty() {
            return Ok(());
        }
        // One read for all parts: each costs a round trip to the store.
        let hashes: Vec<BlobHash> = stored.iter().map(|(blob, _)| blob.hash).collect();
        let blobs = self.run.io.read_blobs(hashes).await?;
        // Several parts may share a blob, so the bytes are cloned (a reference count) and not taken.
        for (blob, mut slot) in stored {
            let bytes = blobs.get(&blob.hash).ok_or(ContextError::MissingBlob(blob.hash))?.clone();
            slot.restore(&blob, bytes)?;
        }
        Ok(())
    }

    /// Reads a task of the same owner. `None` when there is none.
    ///
    /// # Errors
    /// The run was stopped, or the store is not available.
    pub async fn task(&self, id: longhaul_domain::TaskId) -> Result<Option<Task>, ContextError> {
        Ok(self.run.io.read_task(id).await?)
    }

    /// Reads the tasks that the last message refers to, in its order. References to tasks that do
    /// not exist are left out.
    ///
    /// # Errors
    /// The run was stopped, or the store is not available.
    pub async fn referenced_tasks(&self) -> Result<Vec<Task>, ContextError> {
        let mut tasks = Vec::new();
        // Ids of other systems are legal references, and cannot be read here.
        for id in self.message().reference_task_ids.iter().filter_map(|id| id.parse().ok()) {
            tasks.extend(self.run.io.read_task(id).await?);
        }
        Ok(tasks)
    }

    /// Reads up to `limit` earlier tasks of the same conversation, newest first, without their
    /// artifacts.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = || executor_fn(|ctx| async move {
    ///     let earlier = ctx.earlier_tasks(10).await?;
    ///     Ok(ctx.completed(format!("{} tasks before this one", earlier.len())))
    /// });
    /// let before = TestRun::new(executor()).text("first").run().await.task().clone();
    /// let report = TestRun::new(executor()).other_task(before).text("second").run().await;
    /// assert_eq!(report.status_text(), "1 tasks before this one");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, or the store is not available.
    pub async fn earlier_tasks(&self, limit: u32) -> Result<Vec<Task>, ContextError> {
        Ok(self.run.io.context_tasks(limit).await?)
    }

    /// Lists the artifacts that earlier attempts and turns of this task have left, and the durable
    /// ones of this attempt. Output that a step holds back is not included. See
    /// [`continue_artifact`](Self::continue_artifact) for an example.
    ///
    /// # Errors
    /// The run was stopped, or the store is not available.
    pub async fn produced_artifacts(&self) -> Result<Vec<ProducedArtifact>, ContextError> {
        // The first attempt of a new task cannot have any: saves the read.
        if !self.has_written() && !self.assignment().may_have_output() {
            return Ok(Vec::new());
        }
        let task = self.run.io.read_artifacts(self.task_id()).await?;
        let artifacts = task.map(|task| task.artifacts).unwrap_or_default();
        let produced = artifacts.into_iter().map(|artifact| ProducedArtifact {
            id: artifact.artifact_id,
            parts: artifact.parts.len(),
        });
        Ok(produced.collect())
    }

    async fn content(&self, part: &Part) -> Result<Content, ContextError> {
        let mut part = part.clone();
        self.resolve_parts(std::slice::from_mut(&mut part)).await?;
        Ok(part.content)
    }
}
