//! Output: statuses and artifacts. Nothing is changed by this crate once it is handed on; large parts are taken out by the worker.

use super::{Said, TaskContext};
use crate::{ArtifactSpec, ArtifactWriter, ContextError, InvalidOutput, check};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, EntryBody, JsonObject, Message, Part, TaskState,
    log::StatusChange,
};
use std::sync::atomic::Ordering;

impl TaskContext {
    /// Says how it goes; the task stays `working`.
    pub async fn status(&self, said: impl Into<Said>) -> Result<(), ContextError> {
        self.status_update(Some(self.message_of(said)), None).await
    }

    /// Says how it goes, with metadata for programs (of the event, not of the message: A2A 4.2.1).
    pub async fn progress(
        &self,
        said: impl Into<Said>,
        metadata: JsonObject,
    ) -> Result<(), ContextError> {
        self.status_update(Some(self.message_of(said)), Some(metadata)).await
    }

    /// Says how it goes in a message of the executor's own making. It becomes the agent's, in this task.
    pub async fn say(&self, message: Message) -> Result<(), ContextError> {
        self.status_update(Some(message), None).await
    }

    /// A status `working` with whatever goes with it.
    pub async fn status_update(
        &self,
        message: Option<Message>,
        metadata: Option<JsonObject>,
    ) -> Result<(), ContextError> {
        let message = message.map(|message| self.addressed(message));
        if let Some(message) = &message {
            check::message(message)?;
        }
        let change = StatusChange { metadata, ..StatusChange::with(TaskState::Working, message) };
        Ok(self.0.io.emit(vec![EntryBody::Status(change)]).await?)
    }

    /// An artifact of these parts under the next ordinal id, to be described further and then sent.
    pub fn new_artifact(&self, parts: Vec<Part>) -> Artifact {
        Artifact::new(self.next_artifact_id(), parts)
    }

    /// Sends an artifact whole, in place of one with the same id.
    pub async fn artifact(&self, artifact: Artifact) -> Result<(), ContextError> {
        self.artifact_update(ArtifactUpdate::whole(artifact)).await
    }

    /// Begins an artifact that is sent in chunks, in place of one with the same id.
    pub fn stream_artifact(&self, spec: ArtifactSpec) -> ArtifactWriter {
        let ArtifactSpec { id, name, description, metadata, extensions } = spec;
        let artifact_id = id.unwrap_or_else(|| self.next_artifact_id());
        let parts = Vec::new();
        let head = Artifact { artifact_id, name, description, parts, metadata, extensions };
        ArtifactWriter::new(self.clone(), head, false)
    }

    /// Goes on with an artifact that an earlier attempt or turn has left: chunks go behind those that are there (see
    /// [`produced`](Self::produced) for how many parts that are). Fails when the task has no such artifact.
    pub async fn continue_artifact(&self, id: ArtifactId) -> Result<ArtifactWriter, ContextError> {
        let known = self.begun().contains(&id);
        if !known && !self.produced().await?.iter().any(|there| there.id == id) {
            return Err(InvalidOutput::NoSuchArtifact(id).into());
        }
        self.begun().insert(id.clone());
        Ok(ArtifactWriter::new(self.clone(), Artifact::new(id, Vec::new()), true))
    }

    /// Sends one chunk as it is. One to be appended must belong to an artifact that this attempt has begun or continues; when
    /// it has no parts it is left out.
    pub async fn artifact_update(&self, update: ArtifactUpdate) -> Result<(), ContextError> {
        check::update(&update)?;
        if update.append && !self.begun().contains(&update.artifact.artifact_id) {
            return Err(InvalidOutput::NotBegun(update.artifact.artifact_id).into());
        }
        if update.artifact.parts.is_empty() {
            return Ok(());
        }
        if !update.append {
            self.begun().insert(update.artifact.artifact_id.clone());
        }
        Ok(self.0.io.emit(vec![EntryBody::Artifact(update)]).await?)
    }

    /// Waits until everything said so far is durable: it survives any crash from then on.
    pub async fn flush(&self) -> Result<(), ContextError> {
        Ok(self.0.io.flush().await?)
    }

    /// `artifact-1`, `artifact-2`, …; from the second turn on `artifact-2-1`, so that an earlier turn's stay. Not random: the
    /// next attempt names its artifacts alike and so replaces what this one had sent.
    fn next_artifact_id(&self) -> ArtifactId {
        let n = self.0.artifacts_named.fetch_add(1, Ordering::Relaxed) + 1;
        let name = match self.turn() {
            turn if turn > 1 => format!("artifact-{turn}-{n}"),
            _ => format!("artifact-{n}"),
        };
        ArtifactId::new(name).expect("a short text without U+0000 is an id")
    }
}
